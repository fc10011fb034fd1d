"""The active rules, as values, read once for each batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from events.models import Trigger

from .conditions import Condition, Operator
from .thresholds import Measure

Source = Trigger.Source
RELATED = ("conditions", "thresholds", "plans", "cancellations__event_type", "fields")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A trigger and the rows that belong to it."""

    row: Trigger
    conditions: tuple[Condition, ...]
    measure: Measure | None
    fields: dict[str, tuple[str, str]]
    plans: dict[str, int]

    @property
    def id(self) -> int:
        """The trigger's primary key."""
        return int(self.row.pk)

    def watches(self, kind: str) -> bool:
        """Whether it looks at objects of a kind."""
        return self.row.object_kind == kind


def of(row: Trigger) -> Rule:
    """Return the rule of a trigger; its rows are read unless they were fetched with it."""
    return Rule(
        row=row,
        conditions=tuple(
            Condition(
                field=each.field, operator=Operator(each.operator), value=each.value, value_to=each.value_to
            )
            for each in row.conditions.all()
        ),
        measure=_measure(row) if row.source == Source.THRESHOLD else None,
        fields={each.path: (each.source, each.value) for each in row.fields.all()},
        plans={each.plan: each.idle_days for each in row.plans.all()},
    )


def active(sources: Iterable[Any] = Source) -> list[Rule]:
    """Return the rules in use, in the order in which they fire."""
    return read(Trigger.objects.filter(is_active=True, source__in=list(sources)))


def read(rows: QuerySet[Trigger]) -> list[Rule]:
    """Return the rules of some triggers, in the order in which they fire."""
    fetched = rows.select_related("event_type", "recovery_type", "anchor").prefetch_related(*RELATED)
    return [of(row) for row in fetched.order_by("position", "pk")]


def by_id(rules: Sequence[Rule]) -> dict[int, Rule]:
    """Return the rules by their trigger's primary key."""
    return {rule.id: rule for rule in rules}


def _measure(row: Trigger) -> Measure:
    return Measure(
        value_path=row.value_path,
        thresholds=tuple(each.threshold for each in row.thresholds.all()),
        size_path=row.size_path,
        tiers_path=row.tiers_path,
        period_path=row.period_path,
        is_below=row.is_below,
        highest_only=row.highest_only,
    )
