"""The seconds that a django-q2 worker may still spend on its task, shared with the sentinel that counts them down.

The stock one is guarded by a semaphore. A worker killed while it notes that a task was done holds it for ever, and
the sentinel, which looks at each worker in turn, waits for it for ever: nothing is started anew, and what died stays
a zombie. The kernel gives this one's lock back when its holder dies.
"""

import fcntl
import os
import tempfile
from multiprocessing.sharedctypes import RawValue
from types import TracebackType
from typing import IO, Self


def _open() -> IO[bytes]:
    """Return a file of nobody else's, which needs no disk where the system can do without."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("task-timer"), "wb")
    return tempfile.TemporaryFile()


class TaskTimer:
    """A number, -1 for an idle worker, that processes forked from this one share.

    It is its own lock, reentrant, and for one thread of each process: POSIX locks belong to processes.
    """

    def __init__(self) -> None:
        self._number = RawValue("f", -1)
        self._file = _open()
        self._depth = 0

    def get_lock(self) -> Self:
        """Return the lock, which is a context manager."""
        return self

    def __enter__(self) -> Self:
        if self._depth == 0:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        self._depth += 1
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    @property
    def value(self) -> float:
        """The seconds left; 0 when they are over, -1 for an idle worker, -2 for one that ends by itself."""
        with self:
            return float(self._number.value)

    @value.setter
    def value(self, seconds: float) -> None:
        with self:
            self._number.value = seconds
