"""Processor time: unlike the clock, it does not depend on what else the machine does."""

import contextlib
import os
import time
from collections.abc import Iterable

import psutil
from django.db import connection


def of_tree(root: psutil.Process) -> float:
    """Seconds that a process and its descendants have used, those that ended and were waited for included."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def of(pids: Iterable[int]) -> float:
    """Seconds that these processes and their descendants have used."""
    return sum(of_tree(psutil.Process(pid)) for pid in pids)


def postmaster() -> psutil.Process | None:
    """The database server's first process; None where it runs on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with contextlib.suppress(psutil.NoSuchProcess):
        backend = psutil.Process(pid)
        parent = backend.parent()
        if parent and backend.name().startswith("postgres") and parent.name().startswith("postgres"):
            return parent
    return None


def of_database() -> float:
    """Seconds that the database server has used; 0 where it runs on another machine."""
    root = postmaster()
    return of_tree(root) if root else 0.0


class Others:
    """How much of the machine went to what is none of ours: measurements beside it are worth less."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._ours = _busy(), _ours()

    def share(self) -> float:
        """The share of all processor time since the beginning, 0 to 1."""
        available = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return round(max(0.0, _busy() - self._busy - (_ours() - self._ours)) / available, 2)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "steal", 0.0))


def _ours() -> float:
    return of_tree(psutil.Process()) + of_database()
