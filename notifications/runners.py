"""Who drains now: each worker's own row, its heartbeat, and the request to end early."""

import os
import secrets
import socket
import time
from types import TracebackType
from typing import Self

from django.db import connection

from events.ids import uuid7

from .waiting import CHANNEL

BEAT_EVERY = 2.0  # seconds
# Longer silent than this, and it counts as gone.
ALIVE = "interval '10 s'"
CLUSTER_VARIABLE = "BELLWETHER_CLUSTER"


def new_name() -> str:
    """Return a name for the cluster that this process starts, unlike any other's, also among containers."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(3)}"


class Registration:
    """The row of one worker, for as long as it works."""

    def __init__(self) -> None:
        self._id = uuid7()
        self._beaten = 0.0

    def __enter__(self) -> Self:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""WITH gone AS (
                      DELETE FROM notifications_runner WHERE seen_at < clock_timestamp() - 6 * {ALIVE})
                    INSERT INTO notifications_runner (id, host, pid, cluster, is_stopping)
                    VALUES (%s, %s, %s, %s, false)""",  # noqa: S608 - a constant of ours
                [self._id, socket.gethostname(), os.getpid(), os.environ.get(CLUSTER_VARIABLE, "")],
            )
        self._beaten = time.monotonic()
        return self

    def beat(self, *, now: bool = False) -> bool:
        """Show, every two seconds or `now`, that the worker lives; return whether it is to end."""
        if not now and time.monotonic() - self._beaten < BEAT_EVERY:
            return False
        self._beaten = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE notifications_runner SET seen_at = clock_timestamp() WHERE id = %s RETURNING is_stopping",
                [self._id],
            )
            row = cursor.fetchone()
        return bool(row and row[0])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM notifications_runner WHERE id = %s", [self._id])


def count_alive() -> int:
    """Return how many workers of this host's cluster have shown themselves lately."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT count(*) FROM notifications_runner
                WHERE seen_at > clock_timestamp() - {ALIVE} AND host = %s AND cluster = %s""",  # noqa: S608
            [socket.gethostname(), os.environ.get(CLUSTER_VARIABLE, "")],
        )
        return int(cursor.fetchone()[0])


def ask_to_stop(cluster: str) -> None:
    """Ask the workers of one cluster to end now instead of when their budget ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH asked AS (UPDATE notifications_runner SET is_stopping = true WHERE cluster = %s)
               SELECT pg_notify(%s, 'stop')""",
            [cluster, CHANNEL],
        )
