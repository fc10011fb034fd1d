"""Waking workers after a commit: one announcement for many events, never one each.

NOTIFY takes a lock at commit that all sessions share, so announcements are debounced: the first goes
out at once, what follows within 10 ms goes out together at its end, from a thread that keeps its connection.
"""

import atexit
import os
import threading
import time

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django_q.tasks import async_task

from .runners import ALIVE
from .waiting import CHANNEL, EVENTS

log = structlog.get_logger(__name__)

DELIVERY = "delivery"
QUIET = 0.01  # seconds
_IDLE = 30.0  # seconds, after which the thread ends and closes its connection


class _Announcer:
    """Decides when the next announcement goes out, and by whom."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_wanted = False
        self._is_ending = False
        self._last = 0.0
        self._thread: threading.Thread | None = None

    def ask(self) -> bool:
        """Return whether the caller is to announce now; else it is done within 10 ms."""
        with self._changed:
            if self._is_wanted:
                return False
            now = time.monotonic()
            if now - self._last >= QUIET:
                self._last = now
                return True
            self._is_wanted = True
            if self._thread is None:
                self._is_ending = False
                self._thread = threading.Thread(target=self._run, name="announce", daemon=True)
                self._thread.start()
            self._changed.notify()
            return False

    def end(self) -> None:
        """Announce what waits, and end the thread."""
        with self._changed:
            thread, self._is_ending = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            while self._is_due():
                _announce()
        finally:
            connection.close()

    def _is_due(self) -> bool:
        """Wait until an announcement is due; False once none was wanted for long."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_wanted or self._is_ending, _IDLE)
            if not self._is_wanted:
                self._thread, self._is_ending = None, False
                return False
        time.sleep(max(0.0, self._last + QUIET - time.monotonic()))
        with self._changed:
            self._is_wanted = False
            self._last = time.monotonic()
        return True


_announcer = _Announcer()


def _start_afresh() -> None:
    global _announcer  # noqa: PLW0603 - a fork has no threads
    _announcer = _Announcer()


os.register_at_fork(after_in_child=_start_afresh)


@atexit.register
def end() -> None:
    """Announce what waits, as the process ends."""
    _announcer.end()


def nudge() -> None:
    """Announce new work, now or within 10 ms. A lost announcement costs time, not events."""
    if _announcer.ask():
        _announce()


def _announce() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT pg_notify(%s, %s),
                      EXISTS (SELECT FROM notifications_runner WHERE seen_at > clock_timestamp() - {ALIVE})
                      OR EXISTS (SELECT FROM django_q_ormq WHERE key = %s AND lock < clock_timestamp())""",  # noqa: S608
                [CHANNEL, EVENTS, DELIVERY],
            )
            row = cursor.fetchone()
        if row and not row[1]:
            start_drain()
    except (DatabaseError, InterfaceError) as error:
        log.warning("wake-up not sent; the schedule will find the work", error=str(error))
        if not connection.in_atomic_block:
            connection.close()


def tell(what: str) -> None:
    """Announce something else to all workers, with the transaction that is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, what])


def start_drain(queue: str = DELIVERY) -> None:
    """Queue a drain task, for any delivery cluster or for the one with this address."""
    async_task("notifications.tasks.drain", cluster=queue)
