"""Rules by which one event causes another, so many deep and never in a circle."""

from typing import Any

from events.models import Event, Trigger

from . import known, scope
from .change import why_not
from .conditions import Facts, Verdict, judge
from .fire import MOST_DEEP, Occasion, fire
from .ledger import Ledger, Outcome
from .payloads import Material
from .rules import Rule


def look(rule: Rule, event: Event, data: dict[str, Any], where: dict[str, Any], ledger: Ledger) -> None:
    """Fire the rule for an event whose payload meets its conditions."""
    depth = known.depth_of(event.pk) + 1
    if depth > MOST_DEEP:
        detail = f"Stopped: events would cause each other more than {MOST_DEEP} deep."
        ledger.note(rule.id, Outcome.FAULTY, detail=detail, **where)
        return
    verdict = verdict_on(rule, event, data)
    if not verdict.is_met:
        detail = why_not(rule, verdict)
        ledger.note(rule.id, Outcome.NOT_MET, detail=detail, findings=verdict.findings, **where)
        return
    fire(rule, occasion(event, data, where, depth), ledger, verdict)


def verdict_on(rule: Rule, event: Event, data: dict[str, Any]) -> Verdict:
    """Judge an event's payload."""
    facts = Facts(kind="event", before=None, after=data, today=event.occurred_at.date())
    return judge(rule.conditions, facts, match_all=rule.row.match_all)


def occasion(event: Event, data: dict[str, Any], where: dict[str, Any], depth: int) -> Occasion:
    """Return what the rule fires for."""
    return Occasion(
        **where,
        source=Event.Source.CHAINED,
        period=f"event {event.pk}",
        occurred_at=event.occurred_at,
        depth=depth,
        detail=f"{event.type.code} came ({event.public_id}).",
        material=lambda: Material(
            kind=where["kind"], states=scope.family(where["kind"], where["external_id"]), base=data
        ),
    )


def circle(trigger: Trigger, anchor_id: int | None, event_type_ids: list[int]) -> list[int]:
    """Return the event types of the circle that the rule would close, or nothing.

    Every rule counts, also those that are off: switching one on must not be what closes it.
    """
    if anchor_id is None:
        return []
    leads_to: dict[int, set[int]] = {}
    others = Trigger.objects.filter(source__in=Trigger.OF_EVENTS).exclude(pk=trigger.pk)
    for start, end, recovery in others.values_list("anchor_id", "event_type_id", "recovery_type_id"):
        leads_to.setdefault(start, set()).update({end, recovery} - {None})
    waiting = [[anchor_id, each] for each in event_type_ids]
    while waiting:
        way = waiting.pop()
        if way[-1] == anchor_id:
            return way
        waiting += [[*way, each] for each in leads_to.get(way[-1], ()) if each not in way[1:]]
    return []


def depth_with(trigger: Trigger, anchor_id: int | None, event_type_id: int) -> int:
    """Return how deep the longest chain through the rule would be."""
    if anchor_id is None:
        return 0
    before: dict[int, set[int]] = {}
    after: dict[int, set[int]] = {}
    others = Trigger.objects.filter(source__in=Trigger.OF_EVENTS).exclude(pk=trigger.pk)
    for start, end in others.values_list("anchor_id", "event_type_id"):
        after.setdefault(start, set()).add(end)
        before.setdefault(end, set()).add(start)
    return _longest(before, anchor_id) + 1 + _longest(after, event_type_id)


def _longest(steps: dict[int, set[int]], start: int) -> int:
    return max((1 + _longest(steps, each) for each in steps.get(start, ())), default=0)
