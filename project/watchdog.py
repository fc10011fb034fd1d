"""Notice that a cluster of this host stands still, and start it anew: this one, and no other.

Killing the idle django-q2 worker that holds the queue's lock, or one of the processes that hold another, stops a whole
cluster while all that is left of it looks alive. What other hosts deliver is no excuse, and no proof either.

1. Every 5 s without other proof the cluster gets a task under its own address. One that came through is proof; a
   worker of it that lives and does a task is another. After 10 s without any, the cluster is started anew.
2. Delivery has a second rule: when work has been due for 10 s and no worker of this cluster has shown itself, it is
   told by name to drain; if 10 s later none has yet, it is started anew.
3. A cluster that starts has 45 s to prove itself. While the database cannot be reached, or when nobody looked, the
   silence does not count.
"""

import time
from collections.abc import Callable

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction

from notifications import pulse
from notifications.broker import address
from notifications.nudge import DELIVERY, start_drain
from notifications.runners import ALIVE

from .health import oldest_due_seconds

log = structlog.get_logger(__name__)

BEAT_EVERY = 5.0  # seconds
SILENCE = 10.0  # seconds
START = 45.0  # seconds, for a cluster to come up
DUE_EVERY = 5.0  # seconds between looks for work that is due
AGE = 10.0  # seconds that work may be due
PATIENCE = 10.0  # seconds from the drain task to the restart
# The statements take under a millisecond; a lock on a table, as of a migration, must not make us wait.
_LIMIT = "2s"

# The second part reads one end of a partial index.
_SILENT = f"""
SELECT NOT EXISTS (SELECT FROM notifications_runner
                   WHERE cluster = %s AND seen_at > clock_timestamp() - {ALIVE}),
  EXISTS (SELECT FROM notifications_channel
          WHERE NOT is_paused AND due_at < now() AND leased_until < now()
            AND (not_before IS NULL OR not_before < now()))
"""  # noqa: S608 - a constant of ours


class Watchdog:
    """Call it about once a second.

    `restart` starts the cluster anew, `started_at` says since when it runs on the same clock (None: it does not), and
    `say` tells the terminal.
    """

    def __init__(
        self,
        *,
        queue: str,
        cluster: str,
        started_at: Callable[[], float | None],
        restart: Callable[[], None],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address(queue, cluster)
        self._queue = queue
        self._cluster = cluster
        self._started_at = started_at
        self._restart = restart
        self._say = say
        self._clock = clock
        self._start: float | None = None
        self._looked = clock()
        self._quiet_since = 0.0
        self._proven = self._asked = float("-inf")
        self._beats: list[int] = []
        self._looked_for_work = float("-inf")
        self._drained: float | None = None

    def __call__(self) -> None:
        """Look, and act where it is due. A database that cannot be reached is for others to mend."""
        now = self._clock()
        if now - self._looked > BEAT_EVERY:
            self._quiet_since = max(self._quiet_since, now)
            self._drained = None
        self._looked = now
        try:
            self._look(now)
        except (DatabaseError, InterfaceError) as error:
            log.warning("not watched now", cluster=self.address, error=str(error).strip())
            self._quiet_since = max(self._quiet_since, now)
            self._drained = None
            # The next look opens a new one.
            connection.close()

    def end(self) -> None:
        """Take the cluster off the record."""
        try:
            pulse.end(self.address)
        except (DatabaseError, InterfaceError) as error:
            log.warning("still on the record, for an hour", cluster=self.address, error=str(error).strip())

    def _look(self, now: float) -> None:
        start = self._started_at()
        if start is None or (start == self._start and not self._has_questions(now)):
            return
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{_LIMIT}'")
            if start != self._start:
                self._begin(now)
            wrong = self._listen(now) or self._see_to_work(now)
        self._start = start
        if wrong:
            self._say(wrong)
            self._restart()
            self._start = None

    def _has_questions(self, now: float) -> bool:
        return bool(self._beats) or now - self._proven >= BEAT_EVERY or self._looks_for_work(now)

    def _looks_for_work(self, now: float) -> bool:
        is_up = self._proven > float("-inf")
        return is_up and self._queue == DELIVERY and now - self._looked_for_work >= DUE_EVERY

    def _begin(self, now: float) -> None:
        pulse.begin(self.address, self._queue)
        self._beats = []
        self._asked = self._proven = float("-inf")
        self._drained = None
        self._quiet_since = now + START - SILENCE

    def _listen(self, now: float) -> str:
        """Take proof, ask for more; return what is wrong."""
        due = now - self._proven >= BEAT_EVERY
        if (self._beats and pulse.is_answered(self._beats)) or (due and pulse.is_at_work(self.address)):
            pulse.record(self.address)
            self._beats = []
            self._quiet_since = self._proven = now
        elif due and now - self._asked >= BEAT_EVERY:
            self._beats.append(pulse.ask(self.address))
            self._asked = now
        if now - self._quiet_since < SILENCE:
            return ""
        return f"The {self._queue} cluster has stood still for {SILENCE:.0f} s: starting it anew."

    def _see_to_work(self, now: float) -> str:
        """Have due work done; return what is wrong."""
        if not self._looks_for_work(now):
            return ""
        self._looked_for_work = now
        if not is_stuck(self._cluster):
            self._drained = None
        elif self._drained is None:
            start_drain(self.address)
            self._drained = now
        elif now - self._drained >= PATIENCE and not pulse.is_at_work(self.address):
            # The last task may have been taken by a process that is no more.
            start_drain()
            return "Work is due and nothing delivers it: starting the delivery cluster anew."
        return ""


def is_stuck(cluster: str) -> bool:
    """Whether work has been due for 10 s, and no worker of this cluster was seen in that time."""
    with connection.cursor() as cursor:
        cursor.execute(_SILENT, [cluster])
        is_silent, has_lost_a_worker = cursor.fetchone()
    # A lease that ran out is waited for no longer: its worker is dead.
    return bool(is_silent and (has_lost_a_worker or oldest_due_seconds() > AGE))
