"""Triggers: an administrator's rules, their state, and what became of them."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from events.models import LedgerEntry, Trigger, TriggerDay
from events.triggers import edit, own_type, validate
from events.triggers.rules import RELATED, of
from events.triggers.summary import sentence

from . import trigger_test
from .audit import operator_acted
from .page import Page, count, reason_of
from .trigger_forms import (
    CancellationInline,
    ConditionInline,
    FieldInline,
    PlanInline,
    ThresholdInline,
    TriggerForm,
)
from .trigger_story import Story, a_month_ago

Source = Trigger.Source
# What each source is for, told where one is chosen.
ABOUT = {
    Source.CHANGE: "A service goes from Active to Suspended, a package is added, a balance passes 1,000.",
    Source.THRESHOLD: "75, 90 and 100 % of a bucket are used; each is told once a period.",
    Source.DATE: "An invoice's due date has passed with a balance left; a contract ends in 30 days.",
    Source.COMMITMENT: "A commitment period ends and a tier was not reached.",
    Source.SCHEDULE: "7 days after an invoice was delivered, at 09:00; withdrawn by a payment.",
    Source.INACTIVITY: "A SIM was not used for 30 days.",
    Source.EVENT: "A payment fails for good, so another event is published.",
}
WHEN = (
    "object_kind", "anchor", "on_create", "on_update", "on_delete", "value_path", "size_path", "tiers_path",
    "is_below", "highest_only", "date_path", "offset_days", "at_time", "timezone", "activity", "idle_days",
    "days_path", "plan_path", "once", "period_path",
)  # fmt: skip
TOGETHER = (("on_create", "on_update", "on_delete"), ("offset_days", "at_time"))


@admin.register(Trigger)
class TriggerAdmin(Story, Page[Trigger]):
    """Rules that turn changes, time and absence into events."""

    form = TriggerForm
    list_display = ["name", "rule", "event_type", "is_active", "fired_lately"]
    list_filter = ["is_active", "source"]
    list_select_related = ["event_type", "anchor", "recovery_type"]
    search_fields = ["name", "event_type__code", "object_kind"]
    search_help_text = "Name, event type or kind of object"
    autocomplete_fields = ["event_type", "anchor", "recovery_type"]
    actions = ["back_test", "activate", "deactivate"]
    buttons = ["back_test", "activate", "deactivate"]
    button_help = {
        "back_test": "Try it on the reports of the last days; nothing is published.",
        "activate": "From now on it looks at what is reported.",
        "deactivate": "It looks at nothing more; what waits in the calendar waits.",
    }

    def get_urls(self) -> list[URLPattern]:
        """Beside Django's own, the page of back-tests."""
        page = path(
            "<int:pk>/back-test/",
            self.admin_site.admin_view(trigger_test.back_test_view),
            name="events_trigger_back_test",
        )
        return [page, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trigger]:
        """With the rows that the sentence needs."""
        fired = TriggerDay.objects.filter(
            trigger=OuterRef("pk"), outcome=LedgerEntry.Outcome.FIRED, day__gte=a_month_ago()
        )
        total = fired.order_by().values("trigger").annotate(total=Sum("count")).values("total")
        return super().get_queryset(request).prefetch_related(*RELATED).annotate(fired_lately=Subquery(total))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask what starts the rule, and then only for what fits that."""
        if _source(request) is None:
            choices = [
                {"label": source.label, "about": ABOUT[source], "url": f"?{urlencode({'source': source})}"}
                for source in Source
            ]
            context = {**self.admin_site.each_context(request), "title": "Add trigger", "opts": self.opts}
            return TemplateResponse(request, "admin/trigger_source.html", {**context, "choices": choices})
        return super().add_view(request, form_url, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: Trigger | None = None) -> Any:
        """Only what fits the source."""
        source = obj.source if obj else _source(request) or Source.CHANGE
        fitting = validate.FITTING[source]
        when: list[Any] = []
        for name in (each for each in WHEN if each in fitting):
            group = next((group for group in TOGETHER if name in group), (name,))
            if name == group[0]:
                when.append(group if len(group) > 1 else name)
        recovery = [] if source in Trigger.OF_EVENTS else ["recovery_type"]
        publish = (
            ["event_type"] if obj or source in Trigger.OF_EVENTS else ["event_type", "new_code", "new_label"]
        )
        start = [("Rule", {"fields": ["summary", "state", "lately"]})] if obj else []
        end = [("What it publishes now", {"fields": ["payload_table"]})] if obj else []
        return [
            *start,
            (None, {"fields": ["name", "description", "source"]}),
            (f"When: {Source(source).label.lower()}", {"fields": [*when, "match_all"]}),
            ("Publish", {"fields": [*publish, *recovery, "position"]}),
            *end,
        ]

    def get_inlines(self, request: HttpRequest, obj: Trigger | None) -> list[Any]:
        """Only those that fit the source."""
        source = obj.source if obj else _source(request)
        inlines: list[Any] = [ConditionInline]
        if source == Source.THRESHOLD:
            inlines.insert(0, ThresholdInline)
        if source == Source.INACTIVITY:
            inlines.append(PlanInline)
        if source == Source.SCHEDULE:
            inlines.append(CancellationInline)
        return [*inlines, FieldInline]

    def get_readonly_fields(self, _request: HttpRequest, _obj: Trigger | None = None) -> list[str]:
        """What the page tells of the rule."""
        return ["summary", "state", "lately", "payload_table"]

    def has_delete_permission(self, request: HttpRequest, obj: Trigger | None = None) -> bool:
        """Built-in rules are switched off, not deleted."""
        return super().has_delete_permission(request, obj) and not (obj and obj.builtin)

    def offers(self, name: str, row: Trigger) -> bool:
        """Activate what is off, deactivate what is on."""
        return name == "back_test" or row.is_active == (name == "deactivate")

    def save_model(self, request: HttpRequest, obj: Trigger, form: Any, change: bool) -> None:
        """Save it, with its new event type if one was asked for; what waits in the calendar follows."""
        if form.new_type:
            obj.event_type = own_type.make(*form.new_type)
        edit.before_save(obj)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save its rows, and have the evaluator look."""
        super().save_related(request, form, formsets, change)
        edit.after_save(form.instance)

    def response_add(
        self, request: HttpRequest, obj: Trigger, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the rule, from where it is tried and activated."""
        if not {"_continue", "_addanother"} & request.POST.keys():
            self.message_user(
                request, "The rule is saved and off. Back-test it, then activate it.", messages.SUCCESS
            )
            return HttpResponseRedirect(reverse("admin:events_trigger_change", args=[obj.pk]))
        return super().response_add(request, obj, post_url_continue)

    @admin.display(description="rule")
    def rule(self, row: Trigger) -> str:
        """What it does, in a sentence."""
        return sentence(of(row))

    @admin.display(description="fired, 30 days")
    def fired_lately(self, row: Any) -> str:
        """How often it fired lately."""
        return f"{row.fired_lately or 0:,}"

    @admin.action(description="Back-test…", permissions=["change"])
    def back_test(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> HttpResponse | None:
        """Open the page that tries a rule on stored history."""
        rows = list(queryset[:2])
        if len(rows) != 1:
            self.message_user(request, "Choose one trigger to back-test.", messages.WARNING)
            return None
        return HttpResponseRedirect(reverse("admin:events_trigger_back_test", args=[rows[0].pk]))

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        """Switch rules on; one that could not work is refused, with the reason."""
        done, refused = [], []
        for row in queryset.filter(is_active=False):
            try:
                edit.activate(row)
            except ValidationError as error:
                refused.append(f"{row}: {' '.join(error.messages)}")
            else:
                done.append(row)
        self._note(request, "activate", done)
        self.tell(request, f"{count(len(done), 'trigger')} activated.", refused)

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        """Switch rules off."""
        rows = list(queryset.filter(is_active=True))
        for row in rows:
            edit.deactivate(row)
        self._note(request, "deactivate", rows)
        self.tell(request, f"{count(len(rows), 'trigger')} deactivated.")

    def _note(self, request: HttpRequest, verb: str, rows: list[Trigger]) -> None:
        operator_acted.send(
            Trigger,
            actor=request.user,
            action=f"trigger.{verb}",
            subjects=[f"trigger {row.pk}" for row in rows],
            reason=reason_of(request),
        )


def _source(request: HttpRequest) -> str | None:
    told = request.POST.get("source") or request.GET.get("source")
    return told if told in Source.values else None
