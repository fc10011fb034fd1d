"""django-q2's queue in the database, by the database's clock, with an address for each cluster.

1. A cluster takes the tasks of its queue, and those addressed to it alone: no other host can take them.
2. One statement takes a task; several clusters never take the same one, nor wait for each other. The stock
   broker reads first, in no order, and compares times with the clock of its host.
3. A database that is away is tried again each second. The stock pusher sleeps for 10 s and dies, and the stock
   monitor dies without noting what was done.
"""

import os
import time
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connections
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from .runners import CLUSTER_VARIABLE
from .waiting import Waiter

log = structlog.get_logger(__name__)

_CHANNEL = "bellwether_tasks"
_AGAIN = 1.0  # seconds
_PATIENCE = 30.0  # seconds to note what was done; then it is done again, as after a crash


def address(queue: str, cluster: str) -> str:
    """Return the queue that one cluster alone reads."""
    return f"{queue}@{cluster}"


class Broker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """The queue, or the address, named by its `list_key`."""

    _waiter: Waiter | None = None

    def enqueue(self, task: str) -> int:
        """Add a signed task, which may be taken from now on."""
        with connections[Conf.ORM].cursor() as cursor:
            cursor.execute(
                """WITH added AS (INSERT INTO django_q_ormq (key, payload, lock)
                                 VALUES (%s, %s, clock_timestamp()) RETURNING id)
                   SELECT id, pg_notify(%s, '') FROM added""",
                [self.list_key or Conf.CLUSTER_NAME, task, _CHANNEL],
            )
            return int(cursor.fetchone()[0])

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Take what is due, what is addressed to us first; None, after a pause, if there is nothing."""
        # No check of the connection before each look: one that is lost is met below.
        connections[Conf.ORM].health_check_done = True  # type: ignore[attr-defined]
        try:
            with connections[Conf.ORM].cursor() as cursor:
                cursor.execute(
                    # Materialized: some plans of a join would run the choice again for each row.
                    """WITH chosen AS MATERIALIZED (
                         SELECT id FROM django_q_ormq WHERE key = ANY(%s) AND lock < clock_timestamp()
                         ORDER BY key <> %s DESC, id LIMIT %s FOR UPDATE SKIP LOCKED)
                       UPDATE django_q_ormq q SET lock = clock_timestamp() + make_interval(secs => %s)
                       FROM chosen WHERE q.id = chosen.id RETURNING q.id, q.payload""",
                    [self._keys(), self.list_key, Conf.BULK, Conf.RETRY],
                )
                taken: list[tuple[int, str]] = sorted(cursor.fetchall())
        except (OperationalError, InterfaceError) as error:
            self._wait_for_database(error)
            return None
        if not taken:
            self._wait_for_task()
        return taken or None

    def delete(self, task_id: int) -> None:
        """Note that a task was done."""
        gives_up = time.monotonic() + _PATIENCE
        while True:
            try:
                with connections[Conf.ORM].cursor() as cursor:
                    cursor.execute("DELETE FROM django_q_ormq WHERE id = %s", [task_id])
                return
            except (OperationalError, InterfaceError) as error:
                if connections[Conf.ORM].in_atomic_block or time.monotonic() > gives_up:
                    raise
                self._wait_for_database(error)

    def close(self) -> None:
        """Hear of no more tasks; the process that takes them ends with it."""
        if self._waiter is not None:
            self._waiter.close()
            self._waiter = None

    def _keys(self) -> list[Any]:
        cluster = os.environ.get(CLUSTER_VARIABLE, "")
        return [self.list_key, address(self.list_key, cluster)] if cluster else [self.list_key]

    def _wait_for_task(self) -> None:
        """Wait until one is announced, or as long as `poll` says: what is retried is announced by nobody."""
        # Made here, as the broker itself is made before the fork.
        if self._waiter is None:
            self._waiter = Waiter(channel=_CHANNEL, known_as="bellwether queue")
        self._waiter.listen()
        self._waiter.wait(Conf.POLL)

    def _wait_for_database(self, error: Exception) -> None:
        log.warning("queue not reached", error=str(error).strip())
        connections[Conf.ORM].close()
        time.sleep(_AGAIN)
