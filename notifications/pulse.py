"""The proof that a cluster lives: a task that goes all the way through its processes.

A beat is queued under the cluster's own address. Its row is gone once the pusher took it, a worker did it and the
monitor noted it; a cluster in which any of the three stands still keeps it, whatever other hosts do.
"""

import socket
from collections.abc import Collection
from pathlib import Path

from django.db import connection
from django.utils import timezone
from django_q.humanhash import uuid
from django_q.signing import SignedPackage

from .broker import Broker

BEAT = "notifications.tasks.beat"


def begin(address: str, queue: str) -> None:
    """Enter a cluster that is about to start, and clear away what clusters of the past left."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH gone AS (DELETE FROM notifications_cluster WHERE proven_at < clock_timestamp() - interval '1 hour'),
                 unread AS (DELETE FROM django_q_ormq WHERE key LIKE '%%@%%' AND key <> %(address)s
                              AND lock < clock_timestamp() - interval '1 hour')
               INSERT INTO notifications_cluster (address, queue, host, busy_pids)
               VALUES (%(address)s, %(queue)s, %(host)s, '{}')
               ON CONFLICT (address) DO UPDATE SET started_at = now(), busy_pids = '{}'""",
            {"address": address, "queue": queue, "host": socket.gethostname()[:64]},
        )


def end(address: str) -> None:
    """Take a cluster that was stopped off the record, and what was addressed to it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH unread AS (DELETE FROM django_q_ormq WHERE key = %(address)s)
               DELETE FROM notifications_cluster WHERE address = %(address)s""",
            {"address": address},
        )


def ask(address: str) -> int:
    """Queue a beat; return its number. It is done quietly: no line in the log, no saved result."""
    name, key = uuid()
    task = {
        "id": key,
        "name": name,
        "func": BEAT,
        "args": (),
        "kwargs": {},
        "save": False,
        "ack_failure": True,
        "started": timezone.now(),
    }
    return Broker(list_key=address).enqueue(SignedPackage.dumps(task))


def is_answered(beats: Collection[int]) -> bool:
    """Whether one of these beats came through."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_q_ormq WHERE id = ANY(%s)", [list(beats)])
        return int(cursor.fetchone()[0]) < len(beats)


def is_at_work(address: str) -> bool:
    """Whether a worker of this cluster, which runs on this host, lives and does a task."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT busy_pids FROM notifications_cluster WHERE address = %s", [address])
        row = cursor.fetchone()
    return any(_lives(pid) for pid in (row[0] if row else ()))


def _lives(pid: int) -> bool:
    """Whether there is such a process, and it is more than a zombie that a standing sentinel has not collected."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    # The name before it may hold anything, brackets too: proc(5).
    return status.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def record(address: str) -> None:
    """Note for all to see that the cluster lives."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_cluster SET proven_at = clock_timestamp() WHERE address = %s", [address]
        )
