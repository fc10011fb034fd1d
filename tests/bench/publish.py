"""`publish()` inside a transaction, against one bare INSERT of the same row."""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from events.ids import uuid7
from events.models import EventType
from events.publish import publish
from tests.bench import offer, rows
from tests.bench.judge import Case
from tests.bench.run import Run

TARGET = 0.7

_INSERT = """INSERT INTO events_event
    (uid, type_id, source, account, ordering_key, idempotency_key, data, occurred_at)
    VALUES (%s, %s, 'posted', %s, %s, '', %s, %s) RETURNING id"""


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return two cases: calls a second, and statements a call."""
    count = run.scale(2_000, 300)
    rows.targets(1)
    type_id = EventType.objects.get(code=offer.EVENT_TYPE).pk

    def ours(number: int) -> None:
        publish(offer.EVENT_TYPE, offer.payload(number, number))

    def bare(number: int) -> None:
        key = str(number)
        with connection.cursor() as cursor:
            cursor.execute(
                _INSERT,
                [uuid7(), type_id, key, f"account:{key}", offer.payload(number, number), timezone.now()],
            )
            cursor.fetchone()

    published, inserted = run.interleave(
        "publish",
        lambda: _rate(ours, count),
        lambda: _rate(bare, count),
        rounds=9,
        show=lambda one, other: f"{one:.0f}/s against {other:.0f}/s",
    )
    counts = [float(_statements(ours)) for _ in range(5)]
    speed = Case(name="calls", unit="events/s", ours=published, baseline=inserted, target=TARGET)
    statements = Case(name="statements", unit="a call", ours=counts, baseline=None, target=1, at_most=True)
    return [speed, statements], {}


def _rate(call: Callable[[int], None], count: int) -> float:
    """How many calls a second one transaction takes; its COMMIT, the same for both, is not counted."""
    with transaction.atomic():
        began = time.perf_counter()
        for number in range(count):
            call(number)
        seconds = time.perf_counter() - began
    return count / seconds


def _statements(call: Callable[[int], None]) -> int:
    """How many statements one call sends."""
    seen = []

    def look(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with transaction.atomic():
        call(0)  # the catalog is read now and then, which is not the call's own
        with connection.execute_wrapper(look):
            call(1)
    return len(seen)
