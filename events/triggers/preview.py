"""Show what a rule would publish: from the newest object of its kind, else from its event type's sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from events import catalog_cache, kinds
from events.lineage import lineage
from events.models import BillingObject, Change, Operation, Trigger
from events.schema import SchemaError

from . import known
from .payloads import Material, build, origin, paths
from .rules import Rule

Source = Trigger.Source
# What rules work out by themselves, by payload field or group; of changes `known.of_change` says it.
COMPUTED = {
    Source.THRESHOLD: ("tier", "usage", "threshold"),
    Source.DATE: (
        "offset", "overdue", "invoice.days_overdue", "invoice.overdue_amount", "account.total_overdue",
        "account.overdue_invoice_count",
    ),
    Source.COMMITMENT: ("offset", "tier", "penalty.amount"),
    Source.SCHEDULE: ("offset", "invoice.is_paid"),
    Source.INACTIVITY: ("dormancy", "usage.last_at", "usage.never_used"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preview:
    """An example: its payload, where each field comes from, what its schema refuses, and what it was made of."""

    data: dict[str, Any]
    origins: list[tuple[str, str, Any]]
    faults: list[SchemaError]
    made_of: str


def preview(rule: Rule) -> Preview:
    """Return an example of the event that the rule publishes."""
    row = _newest(rule.row.object_kind) if rule.row.object_kind else None
    material = _of_object(rule, row) if row else _of_sample(rule)
    data = build(rule.row.event_type, rule.fields, material)
    entry = catalog_cache.get(rule.row.event_type_id)
    flat = dict(_flatten(data, ""))
    return Preview(
        data=data,
        origins=[
            (path, origin(path, rule.fields, material), flat.get(path))
            for path in paths(rule.row.event_type, material, rule.fields)
        ],
        faults=entry.checker.errors(data),
        made_of=f"the newest report of {row}" if row else "the sample of the event type",
    )


def _newest(kind: str) -> BillingObject | None:
    known_rows = BillingObject.objects.filter(kind=kind, deleted_at=None, reported_at__isnull=False)
    return known_rows.order_by("-pk").first()


def _of_object(rule: Rule, row: BillingObject) -> Material:
    states = lineage(row)
    change = Change(
        kind=row.kind, external_id=row.external_id, operation=Operation.UPDATE, before=row.state, after=row.state,
        occurred_at=row.reported_at or timezone.now(),
    )  # fmt: skip
    return Material(
        kind=row.kind,
        states=states,
        previous=row.state,
        computed={**_computed(rule), **known.of_change(change, row.state)},
        fallbacks=known.fallbacks(row.kind, row.external_id),
    )


def _of_sample(rule: Rule) -> Material:
    """Objects and parents as the samples have them: those that the kind belongs to."""
    kind = rule.row.object_kind
    base = dict(rule.row.anchor.sample) if rule.row.anchor else {}
    known_kinds = kinds.read()
    chain = {kind, *(code for code, _ in known_kinds[kind].above)} if kind in known_kinds else set()
    states = {name: state for name, state in rule.row.event_type.sample.items() if name in chain}
    change = Change(
        kind=kind, external_id="1", operation=Operation.UPDATE, before=states.get(kind), after=states.get(kind),
        occurred_at=timezone.now(),
    )  # fmt: skip
    return Material(
        kind=kind,
        states=states,
        previous=states.get(kind),
        computed=known.of_change(change, states.get(kind) or {}) | _computed(rule),
        fallbacks=known.fallbacks(kind, "1") if kind else {},
        base=base,
    )


def _computed(rule: Rule) -> dict[str, Any]:
    """What the rule works out when it fires, as the event type's sample has it."""
    names = COMPUTED.get(Source(rule.row.source), ())
    return {
        path: value
        for path, value in _flatten(rule.row.event_type.sample, "")
        if path in names or path.partition(".")[0] in names
    }


def _flatten(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield place, value
        return
    for name, inner in value.items():
        yield from _flatten(inner, f"{place}.{name}" if place else name)
