"""Saying why a subscription did not get an event, by the rules that fan-out goes by, as they are now."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, Q

from events.models import Event, Route

from .diagnose import utc
from .match import Condition, holds, resolve
from .models import Filter, Subscription

MOST = 200
Routes = dict[int, set[int]]  # queues by event type
_LONGEST = 60
_WANTS = "It wants other event types"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A subscription that has no delivery of an event, and why."""

    subscription: Subscription
    reason: str

    @property
    def wants_others(self) -> bool:
        """Whether it is for other event types, so that nobody would expect it to get this one."""
        return self.reason.startswith(_WANTS)


def candidates(type_ids: Sequence[int]) -> list[Subscription]:
    """Return the subscriptions that one would expect to get events of these types."""
    reads = Q(queue__routes__event_type__in=type_ids, event_types=None) | Q(event_types__in=type_ids)
    rows = Subscription.objects.filter(reads | Q(queue__routes__event_type__in=type_ids))
    filters = Prefetch("filters", queryset=Filter.objects.order_by("id"))
    related = rows.select_related("queue", "subscriber").prefetch_related(filters, "event_types")
    return list(related.order_by("pk").distinct()[:MOST])


def routes(type_ids: Sequence[int]) -> Routes:
    """Return the queues into which each of these event types flows."""
    found: Routes = {pk: set() for pk in type_ids}
    for type_id, queue_id in Route.objects.filter(event_type__in=type_ids).values_list("event_type", "queue"):
        found[type_id].add(queue_id)
    return found


def explain(
    event: Event, told: set[int], among: Sequence[Subscription], routed_by_type: Routes
) -> list[PassedOver]:
    """Return who `among` these did not get it and why; `told` are those that have a delivery of it."""
    routed = routed_by_type[event.type_id]
    flows = routed & {event.queue_id} if event.queue_id else routed
    data = _parsed(event.data)
    return [
        PassedOver(subscription=row, reason=_reason(row, event, flows, data))
        for row in among
        if row.pk not in told
    ]


def nowhere(event: Event, routed_by_type: Routes) -> str:
    """Return in a sentence why nobody at all could get it; empty if somebody could."""
    if not event.type.is_active:
        return f"The event type {event.type.code} is inactive."
    if not routed_by_type[event.type_id]:
        return f"No queue takes {event.type.code}: add it to the event types of a queue."
    return ""


def _reason(row: Subscription, event: Event, flows: set[int], data: Any) -> str:  # noqa: PLR0911 - a decision list
    if row.queue_id not in flows:
        only = f"it was published into the queue {event.queue} alone" if event.queue_id else ""
        return f"It reads the queue {row.queue}, and {only or f'{event.type.code} does not flow into that'}."
    if row.created_at > event.created_at:
        return f"It was made at {utc(row.created_at)}, after the event."
    if not row.subscriber.is_active:
        return f"Its subscriber {row.subscriber} is inactive."
    if not row.is_active:
        return "It is switched off (not active), so no event is for it."
    chosen = list(row.event_types.all())
    if chosen and event.type_id not in {each.pk for each in chosen}:
        return f"{_WANTS}: {', '.join(each.code for each in chosen[:5])}."
    if event.type.operation not in row.operations:
        return f"The event is a {event.type.operation}, which is not ticked in it."
    for each in row.filters.all():
        condition = Condition(token=each.token, operator=each.operator, value=each.value)
        value = resolve(data, each.token)
        if not holds(condition, value):
            saw = "nothing" if value is None else f"“{str(value)[:_LONGEST]}”"
            return f"Its filter “{each}” does not hold: the event has {saw} there."
    changed = (
        f" It was changed at {utc(row.updated_at)}, after the event."
        if row.updated_at > event.created_at
        else ""
    )
    return f"As it is set now, it would get the event.{changed}"


def _parsed(text: str) -> Any:
    found = json.loads(text, parse_float=str)
    return found if isinstance(found, dict) else {}
