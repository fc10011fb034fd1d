"""Waiting for whichever comes first: a sent report, a wake-up over LISTEN, or a due time."""

import selectors
import socket
import time
from typing import Any, LiteralString

import psycopg
import structlog
from django.db import connection

log = structlog.get_logger(__name__)

CHANNEL = "bellwether_work"
# What is announced on it; a worker that does not know a word looks for new events.
EVENTS = ""  # events were committed
DELIVERIES = "deliveries"  # many were made, or channels were given back for others to lease
HUNGRY = "hungry"  # a worker finds no channel to lease
STOP = "stop"  # some worker is asked to end
FOR_OTHERS = {DELIVERIES, HUNGRY}  # nothing to a worker that said it itself
TRY_EVERY = 1.0  # seconds between tries to listen
CONNECT_SECONDS = 5  # the loop stands still while it connects; OPTIONS may say another number
# Of the connection's parameters, what is Django's own; all others are libpq's, sslmode among them.
_NOT_OURS = ("autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory")


class Waiter:
    """Wakes the one loop of a worker. `report()` may be called from any thread."""

    def __init__(self, *, channel: LiteralString = CHANNEL, known_as: str = "bellwether listen") -> None:
        self._channel = channel
        self._known_as = known_as
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.heard_stop = False
        self._listener: psycopg.Connection[Any] | None = None
        self._try_at = 0.0
        self._failure = ""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reader, selectors.EVENT_READ)

    @property
    def is_listening(self) -> bool:
        """Whether `wait` hears of new events; otherwise the caller has to look by itself."""
        return self._listener is not None and not self._listener.closed

    def listen(self) -> None:
        """Open the connection that hears of new events, unless it is open or was tried a moment ago.

        Where that fails it says so in the log and returns: without it, events are only found later.
        """
        if self.is_listening or time.monotonic() < self._try_at:
            return
        self._try_at = time.monotonic() + TRY_EVERY
        self._forget()
        try:
            self._listener = self._connect()
            self._listener.execute(f"LISTEN {self._channel}")
        except psycopg.Error as error:
            self._forget()
            # Once for each way to fail, not once a second.
            if (failure := str(error).strip()) != self._failure:
                log.warning("not listening, polling instead", error=failure)
                self._failure = failure
            return
        self._failure = ""
        self._selector.register(self._listener.fileno(), selectors.EVENT_READ)

    def _connect(self) -> psycopg.Connection[Any]:
        parameters = connection.get_connection_params()
        wanted = {key: value for key, value in parameters.items() if key not in _NOT_OURS}
        wanted = {"connect_timeout": CONNECT_SECONDS, **wanted, "application_name": self._known_as}
        return psycopg.connect(**wanted, autocommit=True)

    def report(self) -> None:
        """Wake the loop: a thread has something."""
        try:
            self._writer.send(b".")
        except BlockingIOError:
            return  # it is awake already

    def wait(self, seconds: float) -> set[str]:
        """Wait at most `seconds`; return what was announced."""
        announced = False
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.fileobj is self._reader:
                self._reader.recv(4096)
            else:
                announced = True
        return self._announcements() if announced else set()

    def _announcements(self) -> set[str]:
        if self._listener is None:
            return set()
        try:
            notices = list(self._listener.notifies(timeout=0))
        except psycopg.OperationalError as error:
            log.warning("listening connection lost", error=str(error))
            self._forget()
            return {EVENTS}
        ours = connection.connection.info.backend_pid if connection.connection else 0
        heard = {each.payload for each in notices if each.pid != ours or each.payload not in FOR_OTHERS}
        self.heard_stop = self.heard_stop or STOP in heard
        return heard

    def _forget(self) -> None:
        if self._listener is None:
            return
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._reader:
                self._selector.unregister(key.fileobj)
        self._listener.close()
        self._listener = None

    def close(self) -> None:
        """Close everything."""
        self._forget()
        self._selector.close()
        self._reader.close()
        self._writer.close()
