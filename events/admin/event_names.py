"""Events as people call them, in the lists of what triggers did: type and end of the id, linked."""

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events import ids
from events.models import Event

from .page import short

Row = TypeVar("Row", bound=Model)
GONE = "an event that is no longer kept"


def with_events(queryset: QuerySet[Row]) -> Any:
    """Return the queryset with what `event_link` shows of the event of each."""
    event = Event.objects.filter(pk=OuterRef("event_id")).order_by()
    return queryset.annotate(
        event_uid=Subquery(event.values("uid")[:1]), event_code=Subquery(event.values("type__code")[:1])
    )


def event_link(row: Any) -> SafeString | str:
    """Return a link to the event of a row `with_events`; a dash if it has none."""
    return "—" if row.event_id is None else _link(row.event_id, row.event_uid, row.event_code)


def link_to(event_id: int | None) -> SafeString | str:
    """Return a link to one event."""
    found = Event.objects.filter(pk=event_id or 0).values_list("uid", "type__code").first()
    return _link(event_id or 0, *(found or (None, "")))


def period_text(period: str) -> SafeString | str:
    """Return a period, or what a rule without periods fires once for: an event or a change, linked."""
    kind, _, number = period.partition(" ")
    if kind == "event" and number.isdecimal():
        return format_html("once for {}", link_to(int(number)))
    if kind == "change" and number.isdecimal():
        url = reverse("admin:events_change_change", args=[number])
        return format_html('once for <a href="{}">this change</a>', url)
    return period or "—"


def _link(pk: int, uid: UUID | None, code: str) -> SafeString | str:
    if uid is None:
        return GONE
    url = reverse("admin:events_event_change", args=[pk])
    return format_html('<a href="{}">{} {}</a>', url, code, short(ids.public("evt", uid)))
