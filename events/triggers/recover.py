"""Tell when what a rule told of is over: the overdue invoice is paid, the commitment is reached."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.utils import timezone

from events import payload
from events.models import Firing, Trigger

from .change import Seen, material
from .conditions import judge
from .fire import Occasion, tell
from .guard import guarded
from .ledger import Ledger, Outcome
from .material import commitment_shortfalls
from .rules import Rule, by_id
from .thresholds import period, reached

Source = Trigger.Source
_SOURCES = {
    Source.CHANGE: "object_change",
    Source.THRESHOLD: "threshold",
    Source.DATE: "object_change",
    Source.COMMITMENT: "threshold",
    Source.INACTIVITY: "inactivity",
}


def look_again(rules: Sequence[Rule], seen: Seen, ledger: Ledger) -> None:
    """Publish the recovery event of each standing firing of the object that is over by the change."""
    recovering = by_id([rule for rule in rules if rule.row.recovery_type_id])
    if not recovering or seen.change.after is None:
        return
    change = seen.change
    standing = Firing.objects.filter(
        kind=change.kind, external_id=change.external_id, trigger_id__in=recovering,
        recovered_at=None, event_id__isnull=False,
    )  # fmt: skip
    for firing in standing.order_by("pk"):
        rule = recovering[firing.trigger_id]
        guarded(rule, ledger, seen.where, partial(_look, rule, firing, seen, ledger))


def recovered(rule: Rule, firing: Firing, occasion: Occasion, ledger: Ledger) -> None:
    """Publish the recovery of a firing, once."""
    open_ = Firing.objects.filter(pk=firing.pk, recovered_at=None)
    if not open_.update(recovered_at=timezone.now()) or rule.row.recovery_type is None:
        return
    event_id = tell(rule, rule.row.recovery_type, occasion)
    ledger.note(rule.id, Outcome.RECOVERED, detail=occasion.detail, event_id=event_id, **occasion.where)


def _look(rule: Rule, firing: Firing, seen: Seen, ledger: Ledger) -> None:
    state = seen.change.after
    if state is None or not _is_over(rule, firing, seen, state):
        return
    occasion = Occasion(
        kind=firing.kind,
        external_id=firing.external_id,
        account=seen.account,
        source=_SOURCES[Source(rule.row.source)],
        tier=firing.tier,
        period=firing.period,
        occurred_at=seen.change.occurred_at,
        change_id=seen.change.pk,
        material=lambda: material(seen, _of_tier(rule, firing, state)),
        detail="What the rule told of is over.",
    )
    recovered(rule, firing, occasion, ledger)


def _is_over(rule: Rule, firing: Firing, seen: Seen, state: dict[str, Any]) -> bool:
    match rule.row.source:
        case Source.THRESHOLD:
            assert rule.measure is not None
            return period(rule.measure, state) != firing.period or firing.tier not in reached(
                rule.measure, state
            )
        case Source.COMMITMENT:
            told = str(payload.lookup(state, rule.row.period_path) or "") if rule.row.period_path else ""
            short = commitment_shortfalls(rule, material(seen))
            return told == firing.period and firing.tier not in {tier for tier, _ in short}
        case Source.INACTIVITY:
            return False  # usage ends it, not a report
        case _:
            return not judge(rule.conditions, seen.facts, match_all=rule.row.match_all).is_met


def _of_tier(rule: Rule, firing: Firing, state: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be told of the tier that a commitment reached after all."""
    if rule.row.source != Source.COMMITMENT:
        return {}
    listed = payload.lookup(state, rule.row.tiers_path)
    for at, tier in enumerate(listed if isinstance(listed, list) else [], 1):
        if str(payload.lookup(tier, "number") or at) == firing.tier:
            return {
                f"tier.{name}": payload.lookup(tier, name)
                for name in ("number", "name", "committed", "actual", "unit")
            }
    return {}
