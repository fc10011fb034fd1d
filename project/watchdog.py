"""Notice that nothing delivers although work is due, and see to it.

Killing the idle django-q2 worker that holds the queue's lock, or the cluster's pusher, stops the whole cluster
while all that is left of it looks alive. What shows is this: work waits, and no worker has beaten for 10 s.

1. A wake-up may only have been lost: queue a drain task.
2. Still so 10 s later: kill the cluster and start it anew. Nothing of it delivers, so nothing is cut short that a
   lease would not hand to the next worker anyway.
3. Then hold still for 30 s: the new processes need time to come up.
"""

import time
from collections.abc import Callable

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction

from notifications.nudge import start_drain
from notifications.runners import ALIVE

log = structlog.get_logger(__name__)

AGE = "interval '10 s'"
PATIENCE = 10.0  # seconds from the drain task to the restart
REST = 30.0  # seconds after a restart
START = 15.0  # seconds from the first look, for the cluster to come up
# The statement takes under a millisecond; a lock on a table, as of a migration, must not stop the supervisor.
_LIMIT = "2s"

# Each part reads one end of a partial index. A lease that ran out is waited for no longer: its worker is dead.
_STUCK = f"""
SELECT NOT EXISTS (SELECT FROM notifications_runner WHERE seen_at > clock_timestamp() - {ALIVE})
   AND (coalesce((SELECT event.created_at FROM events_inboxentry AS entry
                  JOIN events_event AS event ON event.id = entry.event_id
                  WHERE entry.due_at IS NULL ORDER BY entry.event_id LIMIT 1) < now() - {AGE}, false)
     OR EXISTS (SELECT FROM events_inboxentry WHERE due_at < now() - {AGE})
     OR EXISTS (SELECT FROM notifications_channel
                WHERE NOT is_paused AND due_at < now() AND (due_at < now() - {AGE} OR leased_until < now())
                  AND (not_before IS NULL OR not_before < now())))
"""  # noqa: S608 - constants of ours


class Watchdog:
    """Call it about once a second. `restart` starts the delivery cluster anew; `say` tells the terminal so."""

    def __init__(
        self,
        *,
        restart: Callable[[], None],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._restart = restart
        self._say = say
        self._clock = clock
        self._rests_until: float | None = None
        self._drained_at: float | None = None

    def __call__(self) -> None:
        """Look, and act where it is due. A database that cannot be reached is for others to mend."""
        if self._rests_until is None:
            self._rests_until = self._clock() + START
        if self._clock() < self._rests_until:
            return
        try:
            self._look()
        except (DatabaseError, InterfaceError) as error:
            log.warning("delivery is not watched now", error=str(error).strip())
            # The next look opens a new one.
            connection.close()

    def _look(self) -> None:
        if not is_stuck():
            self._drained_at = None
        elif self._drained_at is None:
            start_drain()
            self._drained_at = self._clock()
        elif self._clock() - self._drained_at >= PATIENCE:
            self._say("Work is due and nothing delivers it: starting the delivery cluster anew.")
            self._drained_at = None
            self._restart()
            self._rests_until = self._clock() + REST
            # The last task may have been taken by a process that is no more.
            start_drain()


def is_stuck() -> bool:
    """Whether work has been due for 10 s, and no worker was seen in that time."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{_LIMIT}'")
        cursor.execute(_STUCK)
        return bool(cursor.fetchone()[0])
