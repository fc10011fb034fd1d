"""Writing beside the loop: one job at a time, in a thread with a database connection of its own.

A third of the loop's time was waiting for results to be written down, while threads waited for the loop.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection


class Clerk:
    """Does one job after another."""

    def __init__(self, *, on_report: Callable[[], None]) -> None:
        """`on_report` is called, in the clerk's thread, when a job has ended."""
        self._on_report = on_report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clerk")

    def begin(self, job: Callable[[], None]) -> Future[None]:
        """Have this done; the future raises what it raised."""
        future = self._thread.submit(_do, job)
        future.add_done_callback(lambda _: self._on_report())
        return future

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
