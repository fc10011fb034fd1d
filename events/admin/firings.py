"""The ledger of triggers, and the calendar of what will fire."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.models import LedgerEntry, ScheduledFiring
from events.triggers import reschedule

from .audit import operator_acted
from .event_names import event_link, link_to, period_text, with_events
from .find_object import of_object_or_account
from .page import Page, RecordPage, at, clip, count, reason_of, utc
from .typed import ModelForm


@admin.register(LedgerEntry)
class LedgerAdmin(RecordPage[LedgerEntry]):
    """Why rules did, or did not, fire."""

    empty_help = (
        "Nothing yet. A row appears as soon as an active trigger has looked at a report, whether "
        "it fired or not."
    )
    list_display = ["when", "trigger", "outcome", "object", "account", "reason", "event"]
    list_display_links = ["when"]
    list_filter = ["outcome", "trigger", "at"]
    list_select_related = ["trigger"]
    search_fields = ["external_id"]
    search_help_text = "Exactly: an object as kind:id, such as service:4001, or an account's id"
    ordering = ["-id"]
    sortable_by = ()
    fields = [
        "when",
        "trigger",
        "outcome",
        "detail",
        "object",
        "account",
        "tier",
        "period_named",
        "findings_table",
        "event",
    ]
    when = at("at", "at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        """With what names the event of each."""
        found: QuerySet[LedgerEntry] = with_events(super().get_queryset(request))
        return found

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[LedgerEntry], search_term: str
    ) -> tuple[QuerySet[LedgerEntry], bool]:
        """By object or account, which are indexed."""
        return of_object_or_account(queryset, search_term), False

    @admin.display(description="object")
    def object(self, row: LedgerEntry) -> str:
        """What it was about."""
        return f"{row.kind}:{row.external_id}" if row.kind else "—"

    @admin.display(description="reason")
    def reason(self, row: LedgerEntry) -> SafeString | str:
        """The reason, in one line."""
        return clip(row.detail, 90)

    @admin.display(description="conditions")
    def findings_table(self, row: LedgerEntry) -> SafeString | str:
        """Each condition, and the value it saw."""
        if not row.findings:
            return "—"
        lines = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((each["condition"], "met" if each["met"] else "not met", each["seen"]) for each in row.findings),
        )
        return format_html(
            '<table class="tokens"><thead><tr><th scope="col">Condition</th><th scope="col">Was</th>'
            '<th scope="col">It was</th></tr></thead><tbody>{}</tbody></table>',
            lines,
        )

    @admin.display(description="event")
    def event(self, row: LedgerEntry) -> SafeString | str:
        """The event it published, linked."""
        return event_link(row)

    @admin.display(description="period")
    def period_named(self, row: LedgerEntry) -> SafeString | str:
        """The period, or the report or event that it was once for."""
        return period_text(row.period)


class FiringForm(ModelForm[ScheduledFiring]):
    """When it will fire."""

    def clean_due_at(self) -> datetime:
        """Not too far ahead."""
        due_at: datetime = self.cleaned_data["due_at"]
        reschedule.check(due_at)
        return due_at


@admin.register(ScheduledFiring)
class CalendarAdmin(Page[ScheduledFiring]):
    """What will fire, and when; each can be moved or cancelled."""

    form = FiringForm

    # Moving one is told as that.
    audits_edits = False
    falls_with_its_owner = True
    empty_help = (
        "Nothing waits. Triggers on dates, and on days after an event, enter here what they will publish."
    )
    list_display = ["due", "local", "trigger", "object", "account", "status", "reason", "event"]
    list_display_links = ["due"]
    list_filter = ["status", "trigger", "due_at"]
    list_select_related = ["trigger"]
    search_fields = ["external_id"]
    search_help_text = "Exactly: an object as kind:id, such as invoice:50042, or an account's id"
    ordering = ["due_at"]
    sortable_by = ()
    actions = ["cancel"]
    buttons = ["cancel"]
    button_help = {"cancel": "It will not fire. A report with another date enters it again."}
    fieldsets = [
        (None, {"fields": ["trigger", "object", "account", "status", "reason", "event"]}),
        ("When", {"fields": ["due_at", "local", "zone", "is_by_hand", "anchor", "period"]}),
    ]
    due = at("due_at", "due")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledFiring]:
        """With what names the event of each."""
        found: QuerySet[ScheduledFiring] = with_events(super().get_queryset(request))
        return found

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[ScheduledFiring], search_term: str
    ) -> tuple[QuerySet[ScheduledFiring], bool]:
        """By object or account, which are indexed."""
        return of_object_or_account(queryset, search_term), False

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Rules enter what will fire."""
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: ScheduledFiring | None = None) -> bool:
        """It is cancelled, and stays on record."""
        return False

    def get_readonly_fields(self, _request: HttpRequest, obj: ScheduledFiring | None = None) -> list[str]:
        """All but the time of what still waits."""
        shown = [str(name) for _, options in self.fieldsets for name in options["fields"]]
        return [name for name in shown if name != "due_at" or not self._waits(obj)]

    def save_model(self, request: HttpRequest, obj: ScheduledFiring, form: Any, _change: bool) -> None:
        """Move it to another time."""
        if "due_at" not in form.changed_data:
            return
        was = form.initial["due_at"]
        moved = reschedule.move(obj.pk, obj.due_at)
        self._note(request, "move", [obj.pk] if moved else [], f"From {utc(was)} to {utc(obj.due_at)}.")

    def offers(self, _name: str, row: ScheduledFiring) -> bool:
        """Cancel what waits."""
        return self._waits(row)

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[ScheduledFiring]) -> None:
        """Have them not fire."""
        with transaction.atomic():
            reason = reason_of(request)
            ids = reschedule.cancel(list(queryset.values_list("pk", flat=True)), str(request.user), reason)
            self._note(request, "cancel", ids, reason)
        self.tell(request, f"{count(len(ids), 'scheduled firing')} cancelled.")

    @admin.display(description="where it counts")
    def local(self, row: ScheduledFiring) -> str:
        """The time in its zone."""
        return f"{row.due_at.astimezone(reschedule.zone(row)):%Y-%m-%d %H:%M} {row.zone}"

    @admin.display(description="object")
    def object(self, row: ScheduledFiring) -> str:
        """What it is about."""
        return f"{row.kind}:{row.external_id}" if row.kind else "—"

    @admin.display(description="counts from")
    def anchor(self, row: ScheduledFiring) -> SafeString | str:
        """The date or event from which days count."""
        if row.anchor_event_id:
            return format_html("{} of {}", utc(row.anchor_at), link_to(row.anchor_event_id))
        return f"{row.anchor_at:%Y-%m-%d}" if row.is_date else utc(row.anchor_at)

    @admin.display(description="event")
    def event(self, row: ScheduledFiring) -> SafeString | str:
        """The event it published, linked."""
        return event_link(row)

    def _waits(self, row: ScheduledFiring | None) -> bool:
        return row is not None and row.status == ScheduledFiring.Status.PENDING

    def _note(self, request: HttpRequest, verb: str, ids: list[int], reason: str) -> None:
        operator_acted.send(
            ScheduledFiring, actor=request.user, action=f"firing.{verb}",
            subjects=[f"firing {pk}" for pk in ids], reason=reason,
        )  # fmt: skip
