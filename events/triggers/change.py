"""Rules about changes: created, updated, deleted, with conditions that become true."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from events import payload
from events.models import Change, Event, Operation, Trigger

from . import known, scope
from .conditions import Facts, State, Verdict, became_met, judge
from .fire import Occasion, fire
from .ledger import Ledger, Outcome
from .payloads import Material
from .rules import Rule

Once = Trigger.Once


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A change, and what rules ask about it; parents are read when one asks."""

    change: Change
    now: datetime

    @cached_property
    def states(self) -> dict[str, dict[str, Any]]:
        """The object and its parents, as they were at the change."""
        return scope.family_at(self.change)

    @cached_property
    def facts(self) -> Facts:
        """What conditions judge."""
        return Facts(
            kind=self.change.kind,
            before=_with_id(self.change.before, self.change),
            after=_with_id(self.change.after, self.change),
            today=self.now.astimezone(UTC).date(),
            load_parents=lambda: self.states,
        )

    @cached_property
    def account(self) -> str:
        """The id of its account."""
        change = self.change
        if change.kind == scope.ACCOUNT:
            return change.external_id
        told = payload.lookup(self.facts.now, "account.id")
        return (
            str(told)[:100]
            if isinstance(told, str | int)
            else scope.account_of(change.kind, change.external_id, self.states)
        )

    @property
    def where(self) -> dict[str, Any]:
        """What the ledger keeps of it."""
        change = self.change
        return {
            "kind": change.kind,
            "external_id": change.external_id,
            "account": self.account,
            "change_id": change.pk,
        }


def look(rule: Rule, seen: Seen, ledger: Ledger) -> None:
    """Fire the rule if the change is one of its kind and its conditions are met."""
    verdict = verdict_on(rule, seen)
    if verdict is None:
        return
    if verdict.is_met:
        fire(rule, occasion(rule, seen), ledger, verdict)
        return
    ledger.note(
        rule.id, Outcome.NOT_MET, detail=why_not(rule, verdict), findings=verdict.findings, **seen.where
    )


def verdict_on(rule: Rule, seen: Seen) -> Verdict | None:
    """Judge the change; None if it is none of the rule's operations."""
    row = rule.row
    wanted = {
        Operation.CREATE: row.on_create,
        Operation.UPDATE: row.on_update,
        Operation.DELETE: row.on_delete,
    }
    if not wanted[Operation(seen.change.operation)]:
        return None
    ask = became_met if row.once == Once.CHANGE else judge
    return ask(rule.conditions, seen.facts, match_all=row.match_all)


def occasion(rule: Rule, seen: Seen) -> Occasion:
    """Return what the rule fires for."""
    change = seen.change
    return Occasion(
        kind=change.kind,
        external_id=change.external_id,
        account=seen.account,
        source=Event.Source.OBJECT_CHANGE,
        period=_period(rule, seen),
        occurred_at=change.occurred_at,
        change_id=change.pk,
        material=lambda: material(seen),
        detail=f"{change.kind} {change.external_id} was {change.operation}d.",
    )


def material(seen: Seen, computed: dict[str, Any] | None = None) -> Material:
    """Return what its payload is made of."""
    change = seen.change
    return Material(
        kind=change.kind,
        states=seen.states,
        previous=change.before,
        computed={**known.of_change(change, seen.facts.now), **(computed or {})},
        fallbacks=known.fallbacks(change.kind, change.external_id),
    )


def why_not(rule: Rule, verdict: Verdict) -> str:
    """Return the reason in a sentence."""
    failed = [each for each in verdict.findings if not each.is_met]
    all_of = rule.row.match_all
    if failed and (all_of or len(failed) == len(verdict.findings)):
        return f"{failed[0]}."
    return "The conditions were true before the change already."


def _period(rule: Rule, seen: Seen) -> str:
    if rule.row.once == Once.OBJECT:
        return ""
    if rule.row.once == Once.PERIOD:
        return str(payload.lookup(seen.facts.now, rule.row.period_path) or "")[:200]
    return f"change {seen.change.pk}"


def _with_id(state: State | None, change: Change) -> State | None:
    return None if state is None else {"id": change.external_id, **state}
