"""Rules about thresholds: each tier once a period, however often and in whichever steps it is reported."""

from events.models import Change, Event

from . import known
from .change import Seen, material, why_not
from .conditions import judge
from .fire import Occasion, fire
from .ledger import Ledger, Outcome
from .rules import Rule
from .thresholds import Crossing, crossings, plain
from .values import shown


def look(rule: Rule, seen: Seen, ledger: Ledger) -> None:
    """Fire once for each threshold that the change crossed, if the conditions are met."""
    if seen.change.after is None:
        return
    crossed = crossed_by(rule, seen.change)
    if not crossed:
        ledger.note(rule.id, Outcome.NOT_MET, detail=_none_crossed(rule, seen), **seen.where)
        return
    verdict = judge(rule.conditions, seen.facts, match_all=rule.row.match_all)
    if not verdict.is_met:
        detail = why_not(rule, verdict)
        ledger.note(rule.id, Outcome.NOT_MET, detail=detail, findings=verdict.findings, **seen.where)
        return
    for crossing in crossed:
        fire(rule, occasion(seen, crossing), ledger, verdict)


def crossed_by(rule: Rule, change: Change) -> list[Crossing]:
    """Return what the change crossed."""
    assert rule.measure is not None
    return crossings(rule.measure, change.before, change.after or {})


def occasion(seen: Seen, crossing: Crossing) -> Occasion:
    """Return what the rule fires for."""
    change = seen.change
    previous = "nothing" if crossing.previous is None else f"{plain(crossing.previous):f}"
    return Occasion(
        kind=change.kind,
        external_id=change.external_id,
        account=seen.account,
        source=Event.Source.THRESHOLD,
        tier=crossing.level.key,
        period=crossing.period[:200],
        occurred_at=change.occurred_at,
        change_id=change.pk,
        material=lambda: material(seen, known.of_crossing(crossing)),
        detail=f"{plain(crossing.level.at):f} was crossed: {plain(crossing.current):f}, before {previous}.",
        is_covered=crossing.is_covered,
    )


def _none_crossed(rule: Rule, seen: Seen) -> str:
    value = seen.facts.value(rule.row.value_path, seen.facts.after)
    was = seen.facts.value(rule.row.value_path, seen.facts.before)
    return f"No threshold was crossed: {rule.row.value_path} is {shown(value)}, before {shown(was)}."
