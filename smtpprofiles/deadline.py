"""A wall clock over one conversation with another machine.

A socket's own time-out bounds each read, so a peer that drips a byte a second is never cut by it.
Here one thread per process watches the conversations that are running and shuts the socket of
each that outlives its time.

1. It shuts a duplicate of the descriptor, because the TLS handshake detaches the socket it wraps; or a
   socket that is lent, and taken back before it is closed: its number may be another's a moment later.
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

    __slots__ = ("_cut", "_done", "_is_lent", "_socket", "at")

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self._socket: socket.socket | None = None
        self._is_lent = False
        self._done = False
        self._cut = False

    def __enter__(self) -> Self:
        _watchdog.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    @property
    def is_cut(self) -> bool:
        """Whether its time ran out and the socket was shut."""
        return self._cut

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def watch(self, sock: socket.socket) -> None:
        """From now on this socket is the one to shut."""
        handle = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
        self._replace(handle, is_lent=False)

    def watch_lent(self, sock: socket.socket) -> None:
        """Watch without a duplicate, which is cheap; the lender calls `let_go` or `finish` before it closes it."""
        self._replace(sock, is_lent=True)

    def let_go(self) -> None:
        """Shut nothing any more until another socket is watched; time still runs."""
        self._replace(None, is_lent=False)

    def finish(self) -> bool:
        """End the watch; False if the conversation was cut, which makes it a time-out."""
        if not self._done:
            with _watchdog.lock:
                self._done = True
                _watchdog.running.discard(self)
                self._drop()
        return not self._cut

    def cut(self) -> None:
        """Shut the socket, unless the conversation is done."""
        with _watchdog.lock:
            if self._done or self._cut:
                return
            self._cut = True
            self._shut()

    def _replace(self, sock: socket.socket | None, *, is_lent: bool) -> None:
        with _watchdog.lock:
            self._drop()
            self._socket, self._is_lent = sock, is_lent
            if self._cut:
                self._shut()

    def _drop(self) -> None:
        if self._socket is not None:
            if not self._is_lent:
                self._socket.close()
            self._socket = None

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the peer may have been faster
                # Not SSLSocket's own, which turns the socket to plain text under its reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Watchdog:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[Deadline] = set()
        self._wake = threading.Condition(self.lock)
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        # Leaving, a deadline does not tell the thread: it wakes once for nothing, which is cheaper.
        with self.lock:
            self.running.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            if deadline.at < self._wakes_at:
                self._wakes_at = deadline.at
                self._wake.notify()

    def _watch(self) -> None:
        while True:
            with self.lock:
                now = time.monotonic()
                late = [deadline for deadline in self.running if deadline.at <= now]
                self.running.difference_update(late)
                self._wakes_at = min((deadline.at for deadline in self.running), default=float("inf"))
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
