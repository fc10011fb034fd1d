"""Rows of field, operator and value, judged over an object before and after a change and over its parents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from events import payload
from events.models import TriggerCondition

from .values import compare, equal, is_empty, shown

State = Mapping[str, Any]


Operator = TriggerCondition.Operator
ABOUT_CHANGE = frozenset(
    {Operator.CHANGED, Operator.CHANGED_FROM_TO, Operator.CHANGED_TO, Operator.CHANGED_FROM}
)
OF_NO_VALUE = frozenset({Operator.EMPTY, Operator.NOT_EMPTY, Operator.CHANGED})
OF_TWO_VALUES = frozenset({Operator.BETWEEN, Operator.CHANGED_FROM_TO})
OF_ORDER = frozenset({Operator.GREATER, Operator.AT_LEAST, Operator.LESS, Operator.AT_MOST, Operator.BETWEEN})

_ORDERS = {
    Operator.GREATER: {1},
    Operator.AT_LEAST: {0, 1},
    Operator.LESS: {-1},
    Operator.AT_MOST: {-1, 0},
}
_WORDS = {
    Operator.IS: "is {0}",
    Operator.IS_NOT: "is not {0}",
    Operator.IN: "is one of {0}",
    Operator.NOT_IN: "is none of {0}",
    Operator.GREATER: "is over {0}",
    Operator.AT_LEAST: "is {0} or more",
    Operator.LESS: "is under {0}",
    Operator.AT_MOST: "is {0} or less",
    Operator.BETWEEN: "is between {0} and {1}",
    Operator.EMPTY: "is empty",
    Operator.NOT_EMPTY: "is not empty",
    Operator.CHANGED: "changed",
    Operator.CHANGED_FROM_TO: "changed from {0} to {1}",
    Operator.CHANGED_TO: "changed to {0}",
    Operator.CHANGED_FROM: "changed from {0}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One row. `value_to` is the second value of `between` and of `changed from … to …`."""

    field: str
    operator: Operator
    value: str = ""
    value_to: str = ""

    def __str__(self) -> str:
        return f"{self.field} {_WORDS[self.operator].format(self.value, self.value_to)}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is judged: an object before and after a change (None: it is not there), and what it belongs to."""

    kind: str
    before: State | None
    after: State | None
    today: date
    load_parents: Callable[[], Mapping[str, State]] = field(default=dict)

    @cached_property
    def parents(self) -> Mapping[str, State]:
        """The states of the parents by kind, read when first asked for."""
        return self.load_parents()

    @property
    def now(self) -> State:
        """The state that counts: after the change, or the last one of what was deleted."""
        return self.after if self.after is not None else self.before or {}

    def value(self, path: str, state: State | None) -> Any:
        """Return what a path leads to: in the object itself, by its kind, or in a parent by the parent's kind."""
        if state is None:
            return None
        found = payload.lookup(state, path)
        head, _, rest = path.partition(".")
        if found is not None or not rest:
            return found
        if head == self.kind:
            return payload.lookup(state, rest)
        return payload.lookup(self.parents.get(head), rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one condition turned out, and on which value."""

    condition: Condition
    is_met: bool
    seen: str

    def __str__(self) -> str:
        return f"{self.condition}: {'met' if self.is_met else 'not met'}, it is {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a rule's conditions are met, and how each turned out."""

    is_met: bool
    findings: tuple[Finding, ...] = ()


def judge(conditions: Sequence[Condition], facts: Facts, *, match_all: bool = True) -> Verdict:
    """Judge every condition; without any, the verdict is met."""
    findings = tuple(_find(each, facts) for each in conditions)
    met = [each.is_met for each in findings]
    return Verdict(is_met=(all(met) if match_all else any(met) or not met), findings=findings)


def became_met(conditions: Sequence[Condition], facts: Facts, *, match_all: bool = True) -> Verdict:
    """Judge as `judge`, and then not met if the conditions were met before the change already.

    What asks for a change is never met by standing still, so it always counts as new.
    """
    verdict = judge(conditions, facts, match_all=match_all)
    if not verdict.is_met or facts.before is None or facts.after is None:
        return verdict
    still = Facts(
        kind=facts.kind, before=facts.before, after=facts.before, today=facts.today,
        load_parents=lambda: facts.parents,
    )  # fmt: skip
    was_met = judge(conditions, still, match_all=match_all).is_met
    return Verdict(is_met=not was_met, findings=verdict.findings)


def _find(condition: Condition, facts: Facts) -> Finding:
    now = facts.value(condition.field, facts.now)
    if condition.operator not in ABOUT_CHANGE:
        return Finding(condition=condition, is_met=_holds(condition, now, facts.today), seen=shown(now))
    was = facts.value(condition.field, facts.before)
    if facts.before is None:
        seen = f"{shown(now)}, of a new object"
    else:
        seen = f"{shown(now)}, before {shown(was)}" if was != now else f"{shown(now)}, as before"
    is_met = _differs(was, now) and _changed(condition, was, now, facts)
    return Finding(condition=condition, is_met=is_met, seen=seen)


def _differs(was: Any, now: Any) -> bool:
    # 19.90 for 19.9 is no change.
    return was != now and not (isinstance(was, str) and not isinstance(now, dict | list) and equal(now, was))


def _changed(condition: Condition, was: Any, now: Any, facts: Facts) -> bool:
    match condition.operator:
        case Operator.CHANGED:
            return True
        case Operator.CHANGED_TO:
            return _is(now, condition.value, facts.today)
        case Operator.CHANGED_FROM:
            return facts.before is not None and _is(was, condition.value, facts.today)
        case _:
            from_, to = condition.value, condition.value_to
            return facts.before is not None and _is(was, from_, facts.today) and _is(now, to, facts.today)


def _holds(condition: Condition, now: Any, today: date) -> bool:
    value, value_to = condition.value, condition.value_to
    match condition.operator:
        case Operator.IS | Operator.IS_NOT:
            return _is(now, value, today) == (condition.operator == Operator.IS)
        case Operator.IN | Operator.NOT_IN:
            is_among = any(equal(now, each.strip(), today) for each in value.split(","))
            return is_among == (condition.operator == Operator.IN)
        case Operator.EMPTY | Operator.NOT_EMPTY:
            return is_empty(now) == (condition.operator == Operator.EMPTY)
        case Operator.BETWEEN:
            return compare(now, value, today) in {0, 1} and compare(now, value_to, today) in {-1, 0}
        case _:
            return compare(now, value, today) in _ORDERS[condition.operator]


def _is(value: Any, text: str, today: date) -> bool:
    # A flag that is not reported is one that is not set.
    if value is None:
        return text.strip().lower() in {"false", "no"}
    return equal(value, text, today)
