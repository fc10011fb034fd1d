"""Find what has been silent: in batches, from indexes alone, so that memory does not grow with the objects."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from django.db import connection

from .rules import Rule

BATCH = 1_000
STEP = 20_000
NEVER = "never"
DAY = timedelta(days=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

# Walks activity_silent without its table.
SILENT: LiteralString = """
SELECT a.external_id, a.last_at, (extract(epoch FROM a.last_at) * 1000000)::bigint::text
FROM events_activity AS a
WHERE a.kind = %(kind)s AND a.activity = %(activity)s AND a.last_at <= %(before)s
  AND (a.last_at, a.external_id) > (%(last_at)s::timestamptz, %(external_id)s)
ORDER BY a.last_at, a.external_id LIMIT %(limit)s
"""
# One step over the objects' own index; LIMIT has the planner look up each of them instead of reading all activity.
NEVER_USED: LiteralString = """
SELECT max(o.external_id), count(*), coalesce(array_agg(o.external_id) FILTER (WHERE used.at IS NULL), '{}')
FROM (
    SELECT external_id FROM events_billingobject
    WHERE kind = %(kind)s AND external_id > %(external_id)s ORDER BY external_id LIMIT %(limit)s
) AS o
LEFT JOIN LATERAL (
    SELECT a.external_id AS at FROM events_activity AS a
    WHERE a.kind = %(kind)s AND a.activity = %(activity)s AND a.external_id = o.external_id LIMIT 1
) AS used ON true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """An object without activity; `last_at` None: it never had any. `spell` names what it sleeps through."""

    external_id: str
    last_at: datetime | None
    spell: str


def batches(rule: Rule, now: datetime) -> Iterator[list[Silent]]:
    """Yield what has been silent for the shortest time that the rule knows, told of or not."""
    shortest = 1 if rule.row.days_path else min([rule.row.idle_days or 1, *rule.plans.values()])
    where: dict[str, Any] = {
        "kind": rule.row.object_kind,
        "activity": rule.row.activity,
        "before": now - shortest * DAY,
        "limit": BATCH,
    }
    last_at, external_id = _BEGINNING, ""
    while rows := _rows(SILENT, {**where, "last_at": last_at, "external_id": external_id}):
        yield [Silent(external_id=a, last_at=b, spell=c) for a, b, c in rows]
        external_id, last_at, _ = rows[-1]
    external_id, looked = "", STEP
    while looked == STEP:
        [(external_id, looked, never)] = _rows(
            NEVER_USED, {**where, "external_id": external_id, "limit": STEP}
        )
        for start in range(0, len(never), BATCH):
            part = never[start : start + BATCH]
            yield [Silent(external_id=each, last_at=None, spell=NEVER) for each in part]


def _rows(statement: LiteralString, where: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, where)
        return list(cursor.fetchall())
