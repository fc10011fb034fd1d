"""Waiting for whichever comes first: a sent report, a wake-up over LISTEN, or a due time."""

import selectors
import socket

import psycopg
import structlog
from django.db import OperationalError, connection

log = structlog.get_logger(__name__)

CHANNEL = "bellwether_work"


class Waiter:
    """Wakes the one loop of a worker. `report()` may be called from any thread."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.heard_stop = False
        self._listener: psycopg.Connection[object] | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._reader, selectors.EVENT_READ)

    def listen(self) -> None:
        """Open the connection that hears of new events, unless it is open. Raises Django's OperationalError."""
        if self._listener and not self._listener.closed:
            return
        self._forget()
        parameters = connection.get_connection_params()
        wanted = {
            key: parameters[key]
            for key in ("host", "port", "user", "password", "dbname")
            if key in parameters
        }
        try:
            self._listener = psycopg.connect(**wanted, autocommit=True, application_name="bellwether listen")
            self._listener.execute(f"LISTEN {CHANNEL}")
        except psycopg.OperationalError as error:
            raise OperationalError(str(error)) from error
        self._selector.register(self._listener.fileno(), selectors.EVENT_READ)

    def report(self) -> None:
        """Wake the loop: a thread has something."""
        try:
            self._writer.send(b".")
        except BlockingIOError:
            return  # it is awake already

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether new events were announced."""
        announced = False
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.fileobj is self._reader:
                self._reader.recv(4096)
            else:
                announced = True
        return self._announcements() if announced else False

    def _announcements(self) -> bool:
        if self._listener is None:
            return False
        try:
            payloads = [notice.payload for notice in self._listener.notifies(timeout=0)]
        except psycopg.OperationalError as error:
            log.warning("listening connection lost", error=str(error))
            self._forget()
            return True
        self.heard_stop = self.heard_stop or "stop" in payloads
        return bool(payloads)

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
