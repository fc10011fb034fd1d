"""Who drains now: each worker's own row, its heartbeat, and the request to end early."""

import mmap
import os
import secrets
import socket
import time

from django.db import connection

from events.ids import uuid7

from .waiting import CHANNEL, STOP

BEAT_EVERY = 2.0  # seconds
# Longer silent than this, and it counts as gone.
ALIVE = "interval '10 s'"
CLUSTER_VARIABLE = "BELLWETHER_CLUSTER"
# Shared with the processes that are forked from this one, without a lock that a dead one may hold.
_ending = mmap.mmap(-1, 1)


def new_name() -> str:
    """Return a name for the cluster that this process starts, unlike any other's, also among containers."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(3)}"


class Registration:
    """The row of one worker, from its first beat on."""

    def __init__(self) -> None:
        self._id = uuid7()
        self._beaten = float("-inf")

    def beat(self, *, now: bool = False) -> bool:
        """Show, every two seconds or `now`, that the worker lives; return whether it is to end."""
        if _ending[0]:
            return True
        if not now and time.monotonic() - self._beaten < BEAT_EVERY:
            return False
        with connection.cursor() as cursor:
            # Others delete a row that was silent for long, as while the database was away.
            cursor.execute(
                f"""WITH gone AS (
                      DELETE FROM notifications_runner
                      WHERE seen_at < clock_timestamp() - 6 * {ALIVE} AND id <> %(id)s)
                    INSERT INTO notifications_runner (id, host, pid, cluster, is_stopping)
                    VALUES (%(id)s, %(host)s, %(pid)s, %(cluster)s, false)
                    ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
                    RETURNING is_stopping""",  # noqa: S608 - a constant of ours
                {
                    "id": self._id,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "cluster": os.environ.get(CLUSTER_VARIABLE, ""),
                },
            )
            is_stopping = bool(cursor.fetchone()[0])
        self._beaten = time.monotonic()
        return is_stopping

    def end(self) -> None:
        """Take the worker off the record."""
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


def end_forked() -> None:
    """Have the workers end that were forked from this process, those too that begin their task only now."""
    _ending[0] = 1


def ask_to_stop(cluster: str) -> None:
    """Ask the workers of one cluster to end now instead of when their budget ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH asked AS (UPDATE notifications_runner SET is_stopping = true WHERE cluster = %s)
               SELECT pg_notify(%s, %s)""",
            [cluster, CHANNEL, STOP],
        )
