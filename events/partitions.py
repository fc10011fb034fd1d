"""The month partitions of append-only tables, made ahead of time and dropped whole."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import structlog
from django.db import DatabaseError, connection, transaction

log = structlog.get_logger(__name__)

# Each with the column that says the month.
TABLES = {"events_change": "reported_at"}


def ensure(tables: Mapping[str, str] = TABLES, *, months_ahead: int = 2) -> list[str]:
    """Create the partitions of this month and the next ones; return the names of the new ones.

    `tables` maps each table to the column that says the month; `<table>_default` is its default partition.
    A row of a month without one lands there, so a late call loses nothing: it moves them.
    One that cannot be made is an error in the log, and tried again by the next call.
    """
    first = datetime.now(UTC).date().replace(day=1)
    created = []
    for _ in range(months_ahead + 1):
        after = next_month(first)
        for table, key in tables.items():
            name = f"{table}_{first:%Y_%m}"
            try:
                if not _exists(name) and _create(table, key, name, first, after):
                    created.append(name)
            except DatabaseError:
                log.exception("partition not made", partition=name)
        first = after
    return created


def begins(table: str = "events_change") -> datetime:
    """Return the first moment of the oldest month that a table has."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT to_timestamp(min(substr(relname::text, length(%(table)s) + 2)), 'YYYY_MM')
               FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
               WHERE inhparent = %(table)s::regclass AND relname <> %(table)s || '_default'""",
            {"table": table},
        )
        found = cursor.fetchone()[0]
    return found if isinstance(found, datetime) else datetime.now(UTC)


def next_month(day: date) -> date:
    """Return the first day of the month after this one's."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _exists(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        return bool(cursor.fetchone()[0])


def _create(table: str, key: str, name: str, first: date, after: date) -> bool:
    """Make a partition with the rows that were waiting for it; False if another process was faster."""
    bounds = [f"{first} 00:00+00", f"{after} 00:00+00"]
    with transaction.atomic(), connection.cursor() as cursor:
        # PARTITION OF refuses a range of which the default partition has rows, so they move first, and
        # the lock keeps others from following them.
        cursor.execute(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")
        if _exists(name):
            return False
        cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {key} >= %s AND {key} < %s RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved",
            bounds,
        )
        cursor.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)
    return True
