"""A wall clock over one conversation with another machine.

A socket's own time-out bounds each read, so a peer that drips a byte a second is never cut by it.
Here one thread per process watches the conversations that are running and shuts the socket of
each that outlives its time.

1. It shuts a duplicate of the descriptor: the TLS handshake detaches the socket it wraps.
2. "Done" and "cut" exclude each other under a lock, so a connection that goes back to its pool is
   never cut afterwards.
3. A conversation that was cut is a time-out, whatever its last read seemed to say.
"""

import os
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class Deadline:
    """Bounds one conversation to `seconds`; use it as a context manager around the whole of it."""

    __slots__ = ("_cut", "_done", "_handle", "_lock", "at")

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._done = False
        self._cut = False

    def __enter__(self) -> Self:
        _watchdog.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def watch(self, sock: socket.socket) -> None:
        """From now on this socket is the one to shut."""
        handle = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
        with self._lock:
            previous, self._handle = self._handle, handle
            if previous is not None:
                previous.close()
            if self._cut:
                _shut(handle)

    def finish(self) -> bool:
        """End the watch; False if the conversation was cut, which makes it a time-out."""
        with self._lock:
            self._done = True
            if self._handle is not None:
                self._handle.close()
                self._handle = None
        _watchdog.discard(self)
        return not self._cut

    def cut(self) -> None:
        """Shut the socket, unless the conversation is done."""
        with self._lock:
            if self._done or self._cut:
                return
            self._cut = True
            if self._handle is not None:
                _shut(self._handle)


def _shut(handle: socket.socket) -> None:
    with suppress(OSError):  # the peer may have been faster
        handle.shutdown(socket.SHUT_RDWR)


class _Watchdog:
    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._running: set[Deadline] = set()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._wake:
            self._running.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            if deadline.at < self._wakes_at:
                self._wakes_at = deadline.at
                self._wake.notify()

    def discard(self, deadline: Deadline) -> None:
        # The thread is not told: it wakes once for nothing, which is cheaper than a wake-up a send.
        with self._wake:
            self._running.discard(deadline)

    def _watch(self) -> None:
        while True:
            with self._wake:
                now = time.monotonic()
                late = [deadline for deadline in self._running if deadline.at <= now]
                self._running.difference_update(late)
                self._wakes_at = min((deadline.at for deadline in self._running), default=float("inf"))
                if not late:
                    idle = self._wakes_at == float("inf")
                    self._wake.wait(None if idle else self._wakes_at - now)
            for deadline in late:
                deadline.cut()


_watchdog = _Watchdog()


def _start_afresh() -> None:
    global _watchdog  # noqa: PLW0603 - a forked child has the parent's object, but not its thread
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_start_afresh)
