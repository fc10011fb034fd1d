"""What rules can tell by themselves: the payload fields of the built-in event types that no object holds."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from events import payload
from events.models import Change, Firing

from .conditions import State
from .thresholds import Crossing, plain

# What services and SIMs call their state, others call their status.
_STATEFUL = {"service", "sim"}


def instant(moment: datetime) -> str:
    """Return a time as payloads write it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def decimal(value: Decimal) -> str:
    """Return a number as payloads write it: plain digits."""
    return f"{value:f}"


def fallbacks(kind: str, external_id: str) -> dict[str, Any]:
    """Return what is filled in where the report does not say it."""
    return {f"{kind}.id": external_id} | ({"sim.iccid": external_id} if kind == "sim" else {})


def of_change(change: Change, state: State) -> dict[str, Any]:
    """Return what a change tells: the status before and after, and a cancellation's time."""
    before, told = change.before or {}, instant(change.occurred_at)
    names = ("state", "status") if change.kind in _STATEFUL else ("status", "state")
    was = next((before[name] for name in names if before.get(name)), None)
    now = next((state[name] for name in names if state.get(name)), None)
    reason = state.get("status_reason") or state.get("reason")
    actor = state.get("changed_by") or state.get("actor")
    return {
        "change.operation": change.operation,
        "change.at": told,
        "transition.from_state": was,
        "transition.to_state": now,
        "transition.from_core_state": before.get("core_state"),
        "transition.to_core_state": state.get("core_state"),
        "transition.effective_at": told,
        "transition.reason": reason,
        "transition.actor": actor,
        "status.previous": was,
        "status.current": now,
        "status.reason": reason,
        "status.changed_at": told,
        "status.changed_by": actor,
        "cancellation.effective_date": payload.lookup(state, "end_date") or told[:10],
        "cancellation.reason": reason,
        "cancellation.requested_by": actor,
        "cancellation.final_balance": state.get("balance"),
        "cancellation.kind": "effective",
    }


def of_crossing(crossing: Crossing) -> dict[str, Any]:
    """Return what a crossing tells."""
    level = crossing.level
    return {
        "tier.number": level.number,
        "tier.name": level.name or None,
        "tier.size": None if level.size is None else decimal(level.size),
        "tier.percent_threshold": decimal(plain(level.threshold)) if level.size is not None else None,
        "threshold.value": decimal(plain(level.threshold)),
        "threshold.period": crossing.period or None,
        "usage.previous": None if crossing.previous is None else decimal(crossing.previous),
        "usage.current": decimal(crossing.current),
        "usage.percent": None if crossing.percent is None else decimal(crossing.percent),
        "usage.remaining": None if crossing.remaining is None else decimal(crossing.remaining),
        "usage.thresholds_crossed": [_number(each) for each in crossing.all_crossed],
    }


def _number(value: Decimal) -> int | str:
    return int(value) if value == value.to_integral_value() else decimal(value)


def depth_of(event_id: int) -> int:
    """Return how many events caused each other before this one; 0 for one that was posted."""
    found = Firing.objects.filter(event_id=event_id).values_list("depth", flat=True).first()
    return found or 0
