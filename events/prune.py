"""What retention no longer keeps of billing objects: old months of changes, and what was deleted long ago."""

from datetime import UTC, date, datetime, timedelta
from typing import LiteralString

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from . import partitions, prepared

log = structlog.get_logger(__name__)

BATCH = 5_000

_MONTHS: LiteralString = """
SELECT child.relname FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'events_change'::regclass ORDER BY child.relname
"""
# A parent goes after its children; what is reported again meanwhile is no longer deleted, and stays.
_DELETED: LiteralString = """
WITH gone AS (
    DELETE FROM events_billingobject WHERE id IN (
        SELECT o.id FROM events_billingobject AS o
        WHERE o.deleted_at < %s::timestamptz
            AND NOT EXISTS (SELECT FROM events_billingobject AS below WHERE below.parent_id = o.id)
        ORDER BY o.deleted_at LIMIT %s::int FOR UPDATE SKIP LOCKED
    )
    RETURNING kind, external_id
), silent AS (
    DELETE FROM events_activity AS a USING gone WHERE a.kind = gone.kind AND a.external_id = gone.external_id
)
SELECT count(*) FROM gone
"""
_LATE: LiteralString = """
WITH gone AS (
    DELETE FROM events_change_default WHERE (id, reported_at) IN (
        SELECT id, reported_at FROM events_change_default
        WHERE reported_at < %s::timestamptz AND evaluated_at IS NOT NULL LIMIT %s::int
    )
    RETURNING 1
)
SELECT count(*) FROM gone
"""


def prune() -> int:
    """Make next months' partitions, then remove what is older than RETENTION_DAYS; return how many objects.

    A month of changes goes as a whole, once its last day is old enough and triggers have looked at all of it.
    """
    partitions.ensure()
    before = timezone.now() - timedelta(days=settings.RETENTION_DAYS)
    for name in _names():
        month = _month_of(name)
        if month is not None and _end(month) <= before:
            _drop(name)
    _repeat(_LATE, before)
    return _repeat(_DELETED, before)


def _names() -> list[str]:
    return [name for (name,) in prepared.run(_MONTHS, [])]


def _month_of(partition: str) -> date | None:
    try:
        return datetime.strptime(partition.removeprefix("events_change_"), "%Y_%m").replace(tzinfo=UTC).date()
    except ValueError:
        return None  # the default partition


def _end(month: date) -> datetime:
    after = partitions.next_month(month)
    return datetime(after.year, after.month, 1, tzinfo=UTC)


def _drop(name: str) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Rather tomorrow than let the billing system's reports wait behind us.
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute("LOCK TABLE events_change IN ACCESS EXCLUSIVE MODE")
            cursor.execute(f"SELECT EXISTS (SELECT FROM {name} WHERE evaluated_at IS NULL)")  # noqa: S608
            if cursor.fetchone()[0]:
                log.warning("partition kept: triggers have not looked at all of it", partition=name)
                return
            cursor.execute(f"DROP TABLE {name}")
    except DatabaseError as error:
        log.warning("partition not dropped; the next run tries again", partition=name, error=str(error))
    else:
        log.info("partition dropped", partition=name)


def _repeat(statement: LiteralString, before: datetime) -> int:
    total = 0
    while number := prepared.run(statement, [before.isoformat(), str(BATCH)])[0][0]:
        total += number
    return total
