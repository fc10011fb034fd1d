"""Be the only one: a lock that is held for a process's life, and tells the next one who holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotAloneError(Exception):
    """The lock cannot be had; the message says why, and what to do."""


@contextmanager
def sole(path: Path) -> Iterator[None]:
    """Hold the lock inside the block; NotAloneError if another process does. A killed one holds nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Closed on exec: the children do not hold it.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotAloneError(
            f"{error.filename}: {error.strerror}. Run as the owner of {path.parent}."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            raise NotAloneError(
                f"Bellwether already runs here (process {holder}); stop it first, or use another checkout."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
