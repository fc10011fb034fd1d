"""The triggers that every installation has: on where they only act on what is reported, else off.

An administrator's edit makes one theirs: no later version touches it again, but for its name in the code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any

from django.utils import timezone

from events.models import EventType, Trigger

MIDNIGHT, MORNING = time(0, 0), time(9, 0)
ENDED = "Cancelled, Canceled, Terminated, Closed"
Condition = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """One trigger; `key` names it for ever. `cancels` maps event types to the paths that must be the same."""

    key: str
    name: str
    description: str
    source: str
    event_type: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    thresholds: tuple[int, ...] = ()
    anchor: str = ""
    recovery: str = ""
    cancels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    payload: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_active: bool = False
    position: int = 100


def _change(key: str, kind: str, name: str, event: str, *conditions: Condition, **more: Any) -> Builtin:
    description = more.pop("description", "Switch it on unless the billing system posts these events itself.")
    position = more.pop("position", 100)
    return Builtin(
        key=key, name=name, description=description, source="change", event_type=event, position=position,
        fields={"object_kind": kind, **more}, conditions=conditions,
    )  # fmt: skip


CREATED = {"on_create": True, "on_update": False}
BUILTINS = (
    _change("service.state", "service", "Service changes state", "service.state_transitioned",
            ("state", "changed"), position=10),
    _change("account.status", "account", "Account changes status", "account.status_changed",
            ("status", "changed"), position=10),
    _change("account.cancelled", "account", "Account is cancelled", "account.cancelled",
            ("status", "in", ENDED), position=20, on_create=False),
    _change("invoice.posted", "invoice", "Invoice is reported", "invoice.posted", once="object", **CREATED),
    _change("package.cancelled", "package", "Package is cancelled", "package.cancelled",
            ("status", "in", ENDED), on_delete=False, position=20),
    _change("package.added", "package", "Sample: package is added", "package.added", once="object", **CREATED,
            description="The addition of a package, as an example to copy."),
    _change("bucket.added", "bucket", "Sample: bucket is added", "bucket.added", once="object", **CREATED,
            description="The addition of a bucket, as an example to copy."),
    _change("bucket.cancelled", "bucket", "Sample: bucket is cancelled", "bucket.cancelled",
            ("status", "in", ENDED), description="The cancellation of a bucket, as an example to copy."),
    Builtin(
        key="service.state_due",
        name="Service changes state on a date",
        description="For services that are reported with next_state and next_state_at: fires when that time comes.",
        source="date",
        event_type="service.state_transitioned",
        fields={
            "object_kind": "service", "date_path": "next_state_at", "offset_days": 0, "at_time": MIDNIGHT,
            "period_path": "next_state_at",
        },
        conditions=(("next_state", "not_empty"),),
        payload={
            "transition.from_state": ("object", "state"),
            "transition.to_state": ("object", "next_state"),
            "transition.effective_at": ("computed", "offset.due_at"),
        },
    ),
    Builtin(
        key="usage.threshold",
        name="Bucket tier is used up",
        description="Looks at reports of buckets: used, in per cent of size or of each of their tiers.",
        source="threshold",
        event_type="usage.threshold_exceeded",
        fields={
            "object_kind": "bucket", "value_path": "used", "size_path": "size", "tiers_path": "tiers",
            "period_path": "period_start", "on_create": True,
        },
        thresholds=(75, 90, 100),
        is_active=True,
    ),
    Builtin(
        key="invoice.overdue",
        name="Invoice is overdue",
        description="The due date has passed where the account is, and a balance is left; once for each invoice.",
        source="date",
        event_type="invoice.overdue",
        recovery="invoice.overdue_paid",
        fields={"object_kind": "invoice", "date_path": "due_date", "offset_days": 1, "at_time": MIDNIGHT},
        conditions=(("balance", "gt", "0"),),
        is_active=True,
    ),
    Builtin(
        key="contract.under_commit",
        name="Contract closes under commit",
        description="At the end of the commitment period, once for each tier that was not reached.",
        source="commitment",
        event_type="contract.under_committed",
        recovery="contract.commitment_reached",
        fields={
            "object_kind": "contract", "date_path": "commitment.period_end",
            "period_path": "commitment.period_start", "tiers_path": "tiers", "offset_days": 1,
            "at_time": MIDNIGHT,
        },
        is_active=True,
    ),
    Builtin(
        key="sim.dormant",
        name="SIM is dormant",
        description="No usage for 30 days; once for each dormant spell. Suspended and test SIMs are left out.",
        source="inactivity",
        event_type="sim.dormant",
        recovery="sim.woke",
        fields={"object_kind": "sim", "idle_days": 30, "plan_path": "plan"},
        conditions=(
            ("state", "not_in", f"Suspended, Test, Inactive, {ENDED}"),
            ("is_test", "is_not", "true"),
        ),
        is_active=True,
    ),
    Builtin(
        key="invoice.delivery_offset",
        name="Days after invoice delivery",
        description="x days after an invoice was delivered, at time t: set both, and switch it on.",
        source="schedule",
        event_type="invoice.delivery_offset",
        anchor="invoice.delivered",
        fields={"date_path": "delivery.delivered_at", "offset_days": 7, "at_time": MORNING},
    ),
    Builtin(
        key="invoice.reminder",
        name="Sample: reminder of an unpaid invoice",
        description="10 days after delivery, if a balance is left; a payment of the invoice withdraws it.",
        source="schedule",
        event_type="invoice.delivery_offset",
        anchor="invoice.delivered",
        fields={"date_path": "delivery.delivered_at", "offset_days": 10, "at_time": MORNING},
        conditions=(("invoice.balance", "gt", "0"),),
        cancels={"payment.processed": ("invoice.number", "payment.invoice_numbers")},
    ),
)  # fmt: skip


def sync(builtins: tuple[Builtin, ...] = BUILTINS) -> int:
    """Make the rows of built-in triggers that nobody edited equal to these; return how many were made or changed."""
    types = {row.code: row for row in EventType.objects.all()}
    known = {row.builtin: row for row in Trigger.objects.exclude(builtin="").prefetch_related("conditions")}
    taken = set(Trigger.objects.values_list("name", flat=True))
    changed = 0
    for spec in builtins:
        row = known.get(spec.key)
        if {spec.event_type, spec.anchor or spec.event_type, spec.recovery or spec.event_type} - types.keys():
            continue  # its event type was retired, and is the administrator's own now
        if row is None and spec.name not in taken:
            _write(Trigger(builtin=spec.key, is_active=spec.is_active), spec, types)
        elif row is not None and not row.is_edited and _differs(row, spec, types):
            _write(row, spec, types)
        else:
            continue
        changed += 1
    return changed


def _values(spec: Builtin, types: Mapping[str, EventType]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": spec.description,
        "source": spec.source,
        "event_type_id": types[spec.event_type].pk,
        "anchor_id": types[spec.anchor].pk if spec.anchor else None,
        "recovery_type_id": types[spec.recovery].pk if spec.recovery else None,
        "position": spec.position,
        **spec.fields,
    }


def _conditions(spec: Builtin) -> list[tuple[str, str, str]]:
    return [(each[0], each[1], each[2] if len(each) > 2 else "") for each in spec.conditions]


def _differs(row: Trigger, spec: Builtin, types: Mapping[str, EventType]) -> bool:
    stored = [(each.field, each.operator, each.value) for each in row.conditions.all()]
    return stored != _conditions(spec) or any(
        getattr(row, name) != value for name, value in _values(spec, types).items()
    )


def _write(row: Trigger, spec: Builtin, types: Mapping[str, EventType]) -> None:
    for name, value in _values(spec, types).items():
        setattr(row, name, value)
    if row.is_active and row.active_since is None:
        row.active_since = timezone.now()
    row.save()
    for related in (row.conditions, row.thresholds, row.cancellations, row.fields):
        related.all().delete()
    for path, operator, value in _conditions(spec):
        row.conditions.create(field=path, operator=operator, value=value)
    for threshold in spec.thresholds:
        row.thresholds.create(threshold=threshold)
    for code, (own, other) in spec.cancels.items():
        row.cancellations.create(event_type=types[code], own_path=own, other_path=other)
    for path, (source, value) in spec.payload.items():
        row.fields.create(path=path, source=source, value=value)
