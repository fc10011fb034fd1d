"""Events as they were published, and those that fan-out could not take."""

import json
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events import ids, wake
from events.models import Event, Firing, InboxEntry, QuarantinedEvent

from .audit import operator_acted
from .found import found_by
from .page import RecordPage, at, count, reason_of, short, utc

RELEASE_LIMIT = 1_000


@admin.register(Event)
class EventAdmin(RecordPage[Event]):
    """The event log."""

    empty_help = (
        "No event yet. A program publishes them with an API key, a trigger by itself; a test "
        "with curl is in the README."
    )
    list_display = [
        "short_id",
        "state",
        "type",
        "key",
        "source",
        "publisher",
        "occurred",
        "created",
    ]
    list_filter = ["type"]
    list_select_related = ["type", "publisher", "inbox_entry", "quarantine"]
    # Looked up exactly by get_search_results; naming one shows the search box.
    search_fields = ["account"]
    search_help_text = "Exactly: an id (evt_…), an account, an ordering key or an idempotency key"
    fieldsets = [
        (None, {"fields": ["public_id", "type", "publisher", "source", "rule", "queue", "state"]}),
        ("Keys", {"fields": ["account", "ordering_key", "idempotency_key"]}),
        ("Times", {"fields": ["occurred", "created", "deliver"]}),
        ("Payload", {"fields": ["payload"]}),
        ("Billing objects as it found them", {"fields": ["objects_found"]}),
    ]
    ordering = ["-id"]
    sortable_by = ()
    occurred, created, deliver = at("occurred_at"), at("created_at"), at("deliver_at", "deliver at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """The list does without the payloads."""
        queryset = super().get_queryset(request)
        match = request.resolver_match
        on_list = match is not None and (match.url_name or "").endswith("_changelist")
        return queryset.defer("data") if on_list else queryset

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """Exact, each on its index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("evt_"):
            uid = ids.parse("evt", term)
            return (queryset.filter(uid=uid) if uid else queryset.none()), False
        exact = Q(account=term) | Q(ordering_key=term) | Q(idempotency_key=term)
        return queryset.filter(exact), False

    @admin.display(description="id")
    def short_id(self, row: Event) -> SafeString:
        """The end of the id, which tells rows apart."""
        return short(row.public_id)

    @admin.display(description="id")
    def public_id(self, row: Event) -> str:
        """The id that the outside sees."""
        return row.public_id

    @admin.display(description="key")
    def key(self, row: Event) -> str:
        """The ordering key, else the account."""
        return row.ordering_key or row.account or "—"

    @admin.display(description="state")
    def state(self, row: Event) -> SafeString | str:
        """Whether it has been fanned out, waits for that, or is in quarantine."""
        if hasattr(row, "quarantine"):
            url = reverse("admin:events_quarantinedevent_change", args=[row.pk])
            return format_html('<a href="{}">in quarantine</a>', url)
        if hasattr(row, "inbox_entry"):
            due_at = row.inbox_entry.due_at
            return f"waits until {utc(due_at)}" if due_at else "waits to be fanned out"
        return "fanned out"

    @admin.display(description="trigger")
    def rule(self, row: Event) -> SafeString | str:
        """The rule that published it, linked."""
        firing = Firing.objects.filter(event_id=row.pk).select_related("trigger").first()
        if firing is None:
            return "—"
        url = reverse("admin:events_trigger_change", args=[firing.trigger_id])
        return format_html('<a href="{}">{}</a>', url, firing.trigger)

    @admin.display(description="payload")
    def payload(self, row: Event) -> SafeString:
        """The payload, indented to be read; what is sent is the text as it was published."""
        return format_html('<pre class="exact">{}</pre>', pretty(row.data))

    @admin.display(description="objects")
    def objects_found(self, row: Event) -> SafeString | str:
        """What data sources say in all of its deliveries, however late."""
        return found_by(row)


# A private character around each number while JSON is indented, so that 19.90 stays 19.90.
_MARK = "\ue000"


def pretty(text: str) -> str:
    """Return JSON indented, with its numbers as they were written; other text as it is."""
    if _MARK in text or "\\ue000" in text.lower():
        return text
    try:
        parsed: Any = json.loads(text, parse_float=_marked, parse_int=_marked, parse_constant=_marked)
    except ValueError:
        return text
    written = json.dumps(parsed, indent=2, ensure_ascii=False)
    return written.replace(f'"{_MARK}', "").replace(f'{_MARK}"', "")


def _marked(number: str) -> str:
    return f"{_MARK}{number}{_MARK}"


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(RecordPage[QuarantinedEvent]):
    """Events that made fan-out raise. They are in nobody's way, and wait for a person."""

    empty_help = "Nothing: every event could be turned into its deliveries."
    list_display = ["event_link", "event_type", "quarantined_at", "first_line"]
    list_select_related = ["event__type"]
    fields = ["event_link", "event_type", "quarantined_at", "error_text"]
    search_fields = ["event__account"]
    search_help_text = "Exactly: an id (evt_…)"
    actions = ["release"]
    buttons = ["release"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedEvent]:
        """Without the payloads."""
        return super().get_queryset(request).select_related("event__type").defer("event__data")

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[QuarantinedEvent], search_term: str
    ) -> tuple[QuerySet[QuarantinedEvent], bool]:
        """By the event's id."""
        uid = ids.parse("evt", search_term) if search_term.strip() else None
        if not search_term.strip():
            return queryset, False
        return (queryset.filter(event__uid=uid) if uid else queryset.none()), False

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Whoever may change quarantined events."""
        return request.user.has_perm("events.change_quarantinedevent")

    @admin.display(description="event")
    def event_link(self, row: QuarantinedEvent) -> SafeString:
        """The event, linked."""
        url = reverse("admin:events_event_change", args=[row.event_id])
        return format_html('<a href="{}">{}</a>', url, row.event.public_id)

    @admin.display(description="type")
    def event_type(self, row: QuarantinedEvent) -> str:
        """The event's type."""
        return str(row.event.type)

    @admin.display(description="error")
    def first_line(self, row: QuarantinedEvent) -> str:
        """What went wrong, in one line: the last of a traceback says it."""
        lines = row.error.strip().splitlines()
        return lines[-1][:200] if lines else "—"

    @admin.display(description="error")
    def error_text(self, row: QuarantinedEvent) -> SafeString:
        """What went wrong, in full."""
        return format_html('<pre class="exact">{}</pre>', row.error)

    @admin.action(description="Release: fan out again", permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]) -> None:
        """Put events back into the inbox, from where fan-out takes them up again."""
        with transaction.atomic():
            chosen = queryset.order_by("pk").values_list("pk", flat=True)[:RELEASE_LIMIT]
            rows = list(
                QuarantinedEvent.objects.select_for_update(of=["self"])
                .select_related("event")
                .defer("event__data")
                .filter(pk__in=list(chosen))
            )
            InboxEntry.objects.bulk_create(
                [InboxEntry(event=row.event, due_at=row.event.deliver_at) for row in rows],
                ignore_conflicts=True,
            )
            QuarantinedEvent.objects.filter(pk__in=[row.pk for row in rows]).delete()
            operator_acted.send(
                QuarantinedEvent,
                actor=request.user,
                action="event.release",
                subjects=[row.event.public_id for row in rows],
                reason=reason_of(request),
            )
            wake.after_commit(len(rows))
        self.tell(request, f"{count(len(rows), 'event')} put back into the inbox.")
