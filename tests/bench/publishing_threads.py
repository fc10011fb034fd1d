"""The threads of a publisher: one alone would wait for its commits, and offer less than the plan says."""

import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connection, transaction

from events.publish import publish
from tests.bench.offer import EVENT_TYPE, payload

_THREADS = 8


def carry_out(plan: Sequence[tuple[float, str]]) -> list[tuple[str, str, int]]:
    """Publish each event of the plan at its time; return queue, event id and time of the commit of each."""
    # Connected, and the catalog read, before the first one counts.
    ready = threading.Barrier(_THREADS)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda _: _connect(ready, plan[0][1]), range(_THREADS)))
        began = time.monotonic()
        sys.stdout.write(f"began {began}\n")
        sys.stdout.flush()
        commits = list(pool.map(lambda item: _publish(began, *item), enumerate(plan)))
    return sorted(commits, key=lambda commit: commit[2])


def _connect(ready: threading.Barrier, queue: str) -> None:
    """Open the connection of one thread; the barrier gives each thread one of these to do."""
    with transaction.atomic():
        publish(EVENT_TYPE, payload(0, 0), queue=queue)
        transaction.set_rollback(True)
    assert connection.connection is not None
    ready.wait(30)


def _publish(began: float, number: int, planned: tuple[float, str]) -> tuple[str, str, int]:
    at, queue = planned
    time.sleep(max(0.0, began + at - time.monotonic()))
    stamped: list[int] = []
    with transaction.atomic():
        # Registered before the event's own: it runs first after the commit.
        transaction.on_commit(partial(_stamp, stamped))
        event = publish(EVENT_TYPE, payload(number, number), queue=queue).event
    return queue, str(event.uid), stamped[0]


def _stamp(stamped: list[int]) -> None:
    stamped.append(time.monotonic_ns())
