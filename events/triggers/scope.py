"""What a rule sees of an object: its state at a change, and the states of its parents as they were then."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q

from events import payload
from events.lineage import lineage
from events.models import BillingObject, Change

from .conditions import State
from .due import zone_of

UTC_ZONE = ZoneInfo("UTC")
ACCOUNT = "account"


def family(kind: str, external_id: str) -> dict[str, dict[str, Any]]:
    """Return the object and its parents as they are now, by kind; empty if it was never reported."""
    row = BillingObject.objects.filter(kind=kind, external_id=external_id).first()
    return lineage(row) if row else {}


def family_at(change: Change) -> dict[str, dict[str, Any]]:
    """Return the object as the change left it, and its parents as they were at that change."""
    states = family(change.kind, change.external_id)
    own = change.after if change.after is not None else change.before or {}
    parents = {kind: state for kind, state in states.items() if kind != change.kind}
    return {change.kind: {**own, "id": own.get("id", change.external_id)}, **_as_at(parents, change.pk)}


def _as_at(states: dict[str, dict[str, Any]], change_id: int | None) -> dict[str, dict[str, Any]]:
    """Put back what changed since: before its next change, an object was as that change found it."""
    if not states or change_id is None:
        return states  # no parents, or no change but the object as it is now
    which = Q()
    for kind, state in states.items():
        which |= Q(kind=kind, external_id=str(state["id"]))
    later = (
        Change.objects.filter(which, id__gt=change_id, folded_at__isnull=False)
        .order_by("kind", "external_id", "id")
        .distinct("kind", "external_id")
        .only("kind", "before")
    )
    return states | {
        each.kind: {"id": states[each.kind]["id"], **each.before} for each in later if each.before is not None
    }


def account_of(kind: str, external_id: str, states: Mapping[str, State], state: State | None = None) -> str:
    """Return the id of the account that an object belongs to; empty where there is none."""
    if kind == ACCOUNT:
        return external_id
    told = payload.lookup(states.get(ACCOUNT) or {}, "id") or payload.lookup(state or {}, "account.id")
    return str(told)[:100] if isinstance(told, str | int) else ""


def zone_for(named: str, states: Mapping[str, State]) -> ZoneInfo:
    """Return the rule's zone, else the account's, else UTC."""
    return zone_of(named) or zone_of(payload.lookup(states.get(ACCOUNT) or {}, "timezone")) or UTC_ZONE


def today_in(zone: ZoneInfo, now: datetime) -> date:
    """Return the date that the zone's calendars show."""
    return now.astimezone(zone).date()
