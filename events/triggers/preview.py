"""Show what a rule would publish: from the newest change that meets it, else the newest object, else the sample."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from events import catalog_cache, kinds
from events.lineage import lineage
from events.models import BillingObject, Change, Trigger
from events.schema import SchemaError

from . import change, known
from .change import Seen
from .payloads import Material, build, origin, paths
from .rules import Rule

Source = Trigger.Source
OF_CHANGES = (Source.CHANGE, Source.THRESHOLD)
MOST_CHANGES = 50  # looked through for an example
TOLD_BY_CHANGES = ("change", "transition", "status", "cancellation")
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
    material, made_of = _material(rule)
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
        made_of=made_of,
    )


def _material(rule: Rule) -> tuple[Material, str]:
    """Return what the example is made of, and that in words."""
    if rule.row.source in OF_CHANGES and (seen := _newest_change(rule)):
        one = seen.change
        told = f"the {one.operation} of {one.kind}:{one.external_id} of {one.reported_at:%Y-%m-%d %H:%M} UTC"
        return change.material(seen, _computed(rule, by_change=False)), told
    row = _newest(rule.row.object_kind) if rule.row.object_kind else None
    if row is not None:
        return _of_object(rule, row), f"the newest report of {row}"
    return _of_sample(rule), "the sample of the event type"


def _newest_change(rule: Rule) -> Seen | None:
    """Return the newest change that the rule would fire for, else the newest of its operations; of the last ones."""
    rows = Change.objects.filter(kind=rule.row.object_kind, folded_at__isnull=False, error="")
    judged = [
        (seen, verdict.is_met)
        for row in rows.order_by("-reported_at", "-id")[:MOST_CHANGES]
        if (seen := Seen(change=row, now=row.reported_at)) and (verdict := change.verdict_on(rule, seen))
    ]
    return next((seen for seen, is_met in judged if is_met), judged[0][0] if judged else None)


def _newest(kind: str) -> BillingObject | None:
    known_rows = BillingObject.objects.filter(kind=kind, deleted_at=None, reported_at__isnull=False)
    return known_rows.order_by("-pk").first()


def _of_object(rule: Rule, row: BillingObject) -> Material:
    return Material(
        kind=row.kind,
        states=lineage(row),
        previous=row.state,
        computed=_computed(rule),
        fallbacks=known.fallbacks(row.kind, row.external_id),
    )


def _of_sample(rule: Rule) -> Material:
    """Objects and parents as the samples have them: those that the kind belongs to."""
    kind = rule.row.object_kind
    base = dict(rule.row.anchor.sample) if rule.row.anchor else {}
    known_kinds = kinds.read()
    chain = {kind, *(code for code, _ in known_kinds[kind].above)} if kind in known_kinds else set()
    states = {name: state for name, state in rule.row.event_type.sample.items() if name in chain}
    return Material(
        kind=kind,
        states=states,
        previous=states.get(kind),
        computed=_computed(rule),
        fallbacks=known.fallbacks(kind, "1") if kind else {},
        base=base,
    )


def _computed(rule: Rule, *, by_change: bool = True) -> dict[str, Any]:
    """What the rule works out when it fires, as the event type's sample has it."""
    names = COMPUTED.get(Source(rule.row.source), ())
    if by_change and rule.row.source in OF_CHANGES:
        # What differs is told by a change only: an object as it is would show the same before and after.
        names = (*names, *TOLD_BY_CHANGES)
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
