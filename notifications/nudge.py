"""Waking workers after a commit: one announcement for many events, never one each.

NOTIFY takes a lock at commit that all sessions share, so announcements are debounced: the first goes
out at once, what follows within 20 ms goes out together at its end.
"""

import threading
import time

import structlog
from django.db import DatabaseError, connection
from django_q.tasks import async_task

from .waiting import CHANNEL

log = structlog.get_logger(__name__)

DELIVERY = "delivery"
QUIET = 0.02  # seconds
_lock = threading.Lock()
_state = {"last": 0.0, "pending": False}


def nudge() -> None:
    """Announce new work, now or within 20 ms. A lost announcement costs time, not events."""
    with _lock:
        now = time.monotonic()
        if _state["pending"]:
            return
        rest = _state["last"] + QUIET - now
        if rest > 0:
            _state["pending"] = True
            timer = threading.Timer(rest, _trailing)
            timer.daemon = True
            timer.start()
            return
        _state["last"] = now
    _announce()


def _trailing() -> None:
    with _lock:
        _state["pending"] = False
        _state["last"] = time.monotonic()
    try:
        _announce()
    finally:
        connection.close()


def _announce() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT pg_notify(%s, ''),
                     EXISTS (SELECT FROM notifications_runner WHERE seen_at > clock_timestamp() - interval '10 s')
                     OR EXISTS (SELECT FROM django_q_ormq WHERE key = 'delivery' AND lock < clock_timestamp())""",
                [CHANNEL],
            )
            row = cursor.fetchone()
        if row and not row[1]:
            start_drain()
    except DatabaseError as error:
        log.warning("wake-up not sent; the schedule will find the work", error=str(error))


def start_drain(queue: str = DELIVERY) -> None:
    """Queue a drain task, for any delivery cluster or for the one with this address."""
    async_task("notifications.tasks.drain", cluster=queue)
