"""What rules about events would have done with the stored ones."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from events import payload
from events.models import Event, ScheduledFiring, Trigger

from . import anchors, calendar, chain, scope
from .conditions import Facts, judge
from .fire import Occasion
from .material import of_schedule, together
from .payloads import Material
from .tally import Tally

BATCH = 500
Window = tuple[datetime, datetime]


def rehearse(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Look at each event of the type that the rule waits for; yield how many so far."""
    rule, now, looked, after = tally.rule, timezone.now(), 0, 0
    days = timedelta(days=(rule.row.offset_days or 0) + 2)
    start_at = since - days if rule.row.source == Trigger.Source.SCHEDULE else since
    rows = Event.objects.select_related("type").filter(type=rule.row.anchor_id, created_at__gte=start_at)
    while batch := list(rows.filter(pk__gt=after).order_by("pk")[:BATCH]):
        for event in batch:
            with tally.sparing_others():
                _look(tally, event, (since, now))
        after, looked = batch[-1].pk, looked + len(batch)
        yield looked, looked


def _look(tally: Tally, event: Event, window: Window) -> None:
    rule, data = tally.rule, payload.parse(event.data).value
    where = anchors.where_of(event, data)
    if rule.row.source == Trigger.Source.SCHEDULE:
        _add_scheduled(tally, event, data, where, window)
    elif chain.verdict_on(rule, event, data).is_met:
        states = partial(tally.past.family_of, event.uid, where["kind"], where["external_id"])
        tally.add(_caused(event, data, where, states), event.occurred_at)


def _caused(event: Event, data: dict[str, Any], where: dict[str, Any], states: Any) -> Occasion:
    return replace(
        chain.occasion(event, data, where, 1),
        material=lambda: Material(kind=where["kind"], states=states(), base=data),
    )


def _add_scheduled(
    tally: Tally, event: Event, data: dict[str, Any], where: dict[str, Any], window: Window
) -> None:
    rule, past = tally.rule, tally.past
    kind, external_id = where["kind"], where["external_id"]
    states = {} if rule.row.timezone else past.family_of(event.uid, kind, external_id)
    anchor = anchors.anchor_of(rule, event, data, where, states=states)
    due = calendar.due_of(rule, anchor)
    if not window[0] <= due <= window[1] or anchors.was_cancelled(rule, event, data, due):
        return
    row = ScheduledFiring(
        anchor_event_id=event.pk,
        zone=anchor.zone,
        due_at=due,
        anchor_at=anchor.at,
        is_date=anchor.is_date,
        **where,
    )
    then = past.family(kind, external_id, due)
    material = of_schedule(row, rule, then)
    facts = Facts(
        kind=kind,
        before=None,
        after={**(then.get(kind) or {}), **together(material)},
        today=scope.today_in(scope.zone_for(anchor.zone, {}), due),
        load_parents=lambda: then,
    )
    if judge(rule.conditions, facts, match_all=rule.row.match_all).is_met:
        tally.add(
            Occasion(
                **where,
                source=Event.Source.SCHEDULE,
                tier=f"event {event.pk}",
                material=lambda: material,
                detail=f"Due at {due:%Y-%m-%d %H:%M} UTC.",
            ),
            due,
        )
