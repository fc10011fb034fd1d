"""The month partitions of the two append-only tables, made ahead of time."""

from datetime import UTC, date, datetime

from django.db import connection

TABLES = ("notifications_attempt", "notifications_renderedbody")


def ensure(*, months_ahead: int = 2) -> list[str]:
    """Create the partitions of this month and the next ones; return the names of the new ones.

    A row of a month without one lands in the default partition, so a late call loses nothing.
    """
    first = datetime.now(UTC).date().replace(day=1)
    created = []
    with connection.cursor() as cursor:
        for _ in range(months_ahead + 1):
            after = _next_month(first)
            for table in TABLES:
                name = f"{table}_{first:%Y_%m}"
                cursor.execute("SELECT to_regclass(%s)", [name])
                if cursor.fetchone()[0] is None:
                    cursor.execute(
                        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} "
                        "FOR VALUES FROM (%s) TO (%s)",
                        [first.isoformat(), after.isoformat()],
                    )
                    created.append(name)
            first = after
    return created


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
