"""Writing beside the loop: one job at a time, in a thread with a database connection of its own.

A third of the loop's time was waiting for results to be written down, while threads waited for the loop.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.db import connection

from .claim import Lease
from .fetch import Claimed
from .sending import Run
from .settle import Result, settle


@dataclass(slots=True, kw_only=True)
class Batch:
    """What is settled in one statement, and what waits for that."""

    worker: str
    results: list[Result]
    untried: list[Claimed]
    ended: list[Run]
    windows: list[threading.Semaphore]  # one for each result that lets its run go on
    leases: list[Lease]
    renewed_at: float | None  # monotonic seconds, where it renews all leases

    def write(self) -> None:
        """Settle it."""
        if self.leases or self.results:
            settle(self.results, leases=self.leases, freed=self.untried, worker=self.worker)


class Clerk:
    """Does one job at a time; the loop begins it and takes note of its end."""

    def __init__(self, *, on_report: Callable[[], None]) -> None:
        """`on_report` is called, in the clerk's thread, when a job has ended."""
        self._on_report = on_report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clerk")
        self._job: Future[None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the job that was begun needs no waiting for."""
        return self._job is None or self._job.done()

    def begin(self, job: Callable[[], None]) -> None:
        """Have this done; the one before must have been noted (`end`)."""
        self._job = self._thread.submit(_do, job)
        self._job.add_done_callback(lambda _: self._on_report())

    def end(self) -> None:
        """Wait until the job has ended; raise what it raised."""
        job, self._job = self._job, None
        if job:
            job.result()

    def close(self) -> None:
        """End the thread, and its connection."""
        self._thread.submit(_disconnect)
        self._thread.shutdown()


def _do(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception:
        _disconnect()  # it may be what failed; the next job opens another
        raise


def _disconnect() -> None:
    connection.close()  # that of this thread
