"""Offering events to workers that stand ready, and timing until the last one is settled."""

import itertools
import time
from collections.abc import Sequence

from django.db import connection, transaction

from events.publish import Draft, publish_many
from tests.bench import spending
from tests.bench.receiver import Receiver
from tests.bench.rounds import Round
from tests.bench.workers import Workers

EVENT_TYPE = "invoice.posted"
_BATCH = 1000
_LOOK_EVERY = 0.05  # seconds
# With the envelope around it, the body of a callout is about 1 KB.
_PADDING = "x" * 560
_numbers = itertools.count(1)


def drafts(queues: Sequence[str], count: int, *, keys: int = 0) -> list[Draft]:
    """Make events, spread evenly over the queues: each with a key of its own, or over so many `keys`.

    All events of one key go to one queue.
    """
    made = []
    for position in range(count):
        number = next(_numbers)
        key = position % keys if keys else number
        queue = queues[(key if keys else position) % len(queues)]
        made.append(Draft(type=EVENT_TYPE, data=payload(number, key), queue=queue))
    return made


def payload(number: int, key: int) -> str:
    """The data of an event, about the account `key`."""
    return (
        f'{{"account": {{"id": "{key}", "name": "Example Telecom"}}, "invoice": {{"id": "{number}", '
        f'"number": "INV-{number}", "currency": "CAD", "total": "249.00"}}, "note": "{_PADDING}"}}'
    )


def publish_all(given: Sequence[Draft]) -> None:
    """Publish them in this order, in one transaction."""
    with transaction.atomic():
        for start in range(0, len(given), _BATCH):
            publish_many(given[start : start + _BATCH])


def drain(
    queues: Sequence[str],
    count: int,
    *,
    workers: Workers,
    receiver: Receiver | None,
    keys: int = 0,
    limit: float = 300.0,
) -> Round:
    """Commit so many events at once, and wait until all of their deliveries are settled.

    Publishing is not counted: it is done beforehand, in the transaction whose commit starts the clock.
    """
    before = settled()
    given = drafts(queues, count, keys=keys)
    with transaction.atomic():
        publish_all(given)
        cpu = _spent(workers, receiver)
        began = now()
    gives_up = time.monotonic() + limit
    while waiting():
        workers.check()
        if time.monotonic() > gives_up:
            raise RuntimeError(f"not all of {count} deliveries were settled within {limit:.0f} s")
        time.sleep(_LOOK_EVERY)
    spent = {part: seconds - cpu[part] for part, seconds in _spent(workers, receiver).items()}
    if (made := settled() - before) != count:
        raise RuntimeError(f"{made} deliveries were delivered, not {count}")
    return Round(count=count, seconds=_last_settled() - began, cpu=spent)


def _spent(workers: Workers, receiver: Receiver | None) -> dict[str, float]:
    return {
        "worker": workers.cpu_seconds(),
        "postgresql": spending.of_database(),
        "receiver": receiver.cpu_seconds() if receiver else 0.0,
    }


def now() -> float:
    """The time of the database, in seconds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(cursor.fetchone()[0])


def waiting() -> bool:
    """Whether anything is not fanned out or not settled."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT EXISTS (SELECT FROM events_inboxentry)
                   OR EXISTS (SELECT FROM notifications_delivery WHERE status IN ('pending', 'retrying'))"""
        )
        return bool(cursor.fetchone()[0])


def settled() -> int:
    """How many deliveries have been delivered."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications_delivery WHERE status = 'delivered'")
        return int(cursor.fetchone()[0])


def _last_settled() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM max(settled_at))::float8 FROM notifications_delivery")
        return float(cursor.fetchone()[0])
