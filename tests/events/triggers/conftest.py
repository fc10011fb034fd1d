"""A catalog with its kinds, and rules that are made in one line."""

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from events import catalog_cache
from events.models import Event, EventType, LedgerEntry, Trigger
from tests import tables

Rules = Callable[..., Trigger]
DEFAULTS: dict[str, dict[str, Any]] = {
    "change": {"object_kind": "service", "event": "service.state_transitioned"},
    "threshold": {
        "object_kind": "bucket",
        "event": "usage.threshold_exceeded",
        "value_path": "used",
        "size_path": "size",
        "period_path": "period_start",
    },
    "date": {
        "object_kind": "invoice",
        "event": "invoice.overdue",
        "date_path": "due_date",
        "offset_days": 1,
        "at_time": "00:00",
    },
    "commitment": {
        "object_kind": "contract",
        "event": "contract.under_committed",
        "date_path": "commitment.period_end",
        "period_path": "commitment.period_start",
        "tiers_path": "tiers",
        "offset_days": 1,
        "at_time": "00:00",
    },
    "schedule": {
        "anchor": "invoice.delivered",
        "event": "invoice.delivery_offset",
        "date_path": "delivery.delivered_at",
        "offset_days": 5,
        "at_time": "09:00",
    },
    "inactivity": {"object_kind": "sim", "event": "sim.dormant", "idle_days": 30, "plan_path": "plan"},
    "event": {"anchor": "payment.failed", "event": "account.status_changed"},
}


@pytest.fixture
def types(db: None) -> dict[str, EventType]:
    tables.fill(tables.CATALOG)
    Trigger.objects.update(is_active=False)
    return {each.code: each for each in EventType.objects.all()}


@pytest.fixture
def rules(types: dict[str, EventType]) -> Rules:
    """Make an active trigger of a source; conditions are tuples of field, operator and values."""

    def make(source: str, conditions: Any = (), thresholds: Any = (), **fields: Any) -> Trigger:
        given = {**DEFAULTS[source], **fields}
        anchor, plans = given.pop("anchor", None), given.pop("plans", {})
        recovery = given.pop("recovery", None)
        trigger = Trigger.objects.create(
            name=given.pop("name", f"{source} {Trigger.objects.count()}"),
            source=source,
            event_type=types[given.pop("event")],
            recovery_type=types[recovery] if recovery else None,
            anchor=types[anchor] if anchor else None,
            is_active=True,
            active_since=given.pop("active_since", timezone.now()),
            **given,
        )
        for field, operator, *values in conditions:
            value, value_to = [*values, "", ""][:2]
            trigger.conditions.create(field=field, operator=operator, value=value, value_to=value_to)
        for threshold in thresholds:
            trigger.thresholds.create(threshold=threshold)
        for plan, days in plans.items():
            trigger.plans.create(plan=plan, idle_days=days)
        trigger.refresh_from_db()
        catalog_cache.clear()
        return trigger

    return make


@pytest.fixture
def clock() -> Any:
    with time_machine.travel("2026-11-22T14:06:00Z", tick=False) as travel:
        yield travel


def fired(code: str = "") -> list[Event]:
    """The events that were published, oldest first."""
    events = Event.objects.select_related("type").order_by("id")
    return list(events.filter(type__code=code) if code else events)


def outcomes(trigger: Trigger) -> list[str]:
    """What the ledger has of a trigger, oldest first."""
    return list(LedgerEntry.objects.filter(trigger=trigger).order_by("id").values_list("outcome", flat=True))
