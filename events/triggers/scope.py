"""What a rule sees of an object: its state at a change, and the states of its parents as they were then."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from events import exact, payload, prepared
from events.lineage import lineage
from events.models import BillingObject, Change

from .conditions import State
from .due import zone_of

# What changed since is put back: before its next change, a parent was as that change found it.
_FAMILY: LiteralString = """
WITH RECURSIVE lineage AS (
    SELECT id, parent_id, kind, external_id, state, 1 AS depth
    FROM events_billingobject WHERE kind = %s::text AND external_id = %s::text
    UNION ALL
    SELECT above.id, above.parent_id, above.kind, above.external_id, above.state, depth + 1
    FROM lineage JOIN events_billingobject AS above ON above.id = lineage.parent_id
    WHERE depth < 10
)
SELECT l.kind, l.external_id, coalesce(later.before, l.state)::text FROM lineage AS l
LEFT JOIN LATERAL (
    SELECT c.before FROM events_change AS c
    WHERE l.depth > 1 AND c.kind = l.kind AND c.external_id = l.external_id AND c.id > %s::bigint
        AND c.folded_at IS NOT NULL
    ORDER BY c.id LIMIT 1
) AS later ON true
ORDER BY l.depth
"""
_LAST = 2**63 - 1
UTC_ZONE = ZoneInfo("UTC")
ACCOUNT = "account"


def family(kind: str, external_id: str) -> dict[str, dict[str, Any]]:
    """Return the object and its parents as they are now, by kind; empty if it was never reported."""
    row = BillingObject.objects.filter(kind=kind, external_id=external_id).first()
    return lineage(row) if row else {}


def family_at(change: Change) -> dict[str, dict[str, Any]]:
    """Return the object as the change left it, and its parents as they were at that change. One statement."""
    own = change.after if change.after is not None else change.before or {}
    # Without a change of its own it stands for the object as it is: nothing is later.
    after = str(change.pk if change.pk is not None else _LAST)
    rows = prepared.run(_FAMILY, [change.kind, change.external_id, after])
    parents = {
        kind: {"id": external_id, **exact.loads(state)}
        for kind, external_id, state in rows
        if kind != change.kind
    }
    return {change.kind: {**own, "id": own.get("id", change.external_id)}, **parents}


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
