"""Month partitions, on a real server; each test rolls its tables back."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.db import connection

from events.ids import uuid7
from notifications import partitions
from notifications.models import Attempt

pytestmark = pytest.mark.django_db

MONTHS = 5  # further ahead than the migration made any


def month(ahead: int) -> date:
    today = datetime.now(UTC).date()
    index = today.year * 12 + today.month - 1 + ahead
    return date(index // 12, index % 12 + 1, 1)


def name(table: str, ahead: int) -> str:
    return f"{table}_{month(ahead):%Y_%m}"


def attempt(started_at: datetime) -> UUID:
    return Attempt.objects.create(
        id=uuid7(),
        delivery_id=1,
        number=1,
        verdict=Attempt.Verdict.DELIVERED,
        duration_ms=1,
        worker="w",
        epoch=1,
        started_at=started_at,
    ).pk


def place(pk: UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM notifications_attempt WHERE id = %s", [pk])
        [[table]] = cursor.fetchall()
    return str(table)


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_the_months_to_come_are_made_once() -> None:
    partitions.ensure(months_ahead=2)
    assert partitions.ensure(months_ahead=3) == [name(table, 3) for table in partitions.TABLES]
    assert partitions.ensure(months_ahead=3) == []


def test_rows_that_waited_in_the_default_partition_move_into_their_month() -> None:
    partitions.ensure(months_ahead=MONTHS - 1)
    first, later = attempt(at(month(MONTHS))), attempt(at(month(MONTHS + 1)))
    assert place(first) == place(later) == "notifications_attempt_default"

    assert name("notifications_attempt", MONTHS) in partitions.ensure(months_ahead=MONTHS)

    assert place(first) == name("notifications_attempt", MONTHS)
    assert place(later) == "notifications_attempt_default"
    assert place(attempt(at(month(MONTHS)))) == name("notifications_attempt", MONTHS)
    assert Attempt.objects.count() == 3


def test_a_moved_month_has_the_indexes_of_all() -> None:
    partitions.ensure(months_ahead=MONTHS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid WHERE indrelid = %s::regclass",
            [name("notifications_attempt", MONTHS)],
        )
        assert cursor.fetchone() == (4,)


def test_one_that_cannot_be_made_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    partitions.ensure(months_ahead=MONTHS - 2)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE in_the_way PARTITION OF notifications_attempt FOR VALUES FROM (%s) TO (%s)",
            [at(month(MONTHS - 1)).isoformat(), at(month(MONTHS - 1).replace(day=9)).isoformat()],
        )
    assert partitions.ensure(months_ahead=MONTHS) == [
        name("notifications_renderedbody", MONTHS - 1),
        name("notifications_attempt", MONTHS),
        name("notifications_renderedbody", MONTHS),
    ]
    assert "partition not made" in caplog.text
    assert name("notifications_attempt", MONTHS - 1) in caplog.text
