"""Real concurrent sessions for the mutants: a thread with a connection of its own, watched through its locks."""

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from .mutations import Mutation, applied

GIVE_UP = 20.0  # seconds


class Session:
    """Runs one function in a thread; says when it is done or stands before a lock."""

    def __init__(self, function: Callable[[], Any], mutations: list[Mutation]) -> None:
        self._function = function
        self._mutations = mutations
        self._pid = 0
        self._began = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._began.wait(GIVE_UP)

    def _run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._pid = cursor.fetchone()[0]
            self._began.set()
            with applied(self._mutations):
                self._function()
        except BaseException as error:
            self.error = error
        finally:
            self._began.set()
            connection.close()

    def settles(self) -> str:
        """Wait until it is "done" or "blocked", and say which; call it from outside of transactions it waits for."""
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            if not self._thread.is_alive():
                return "done"
            with connection.cursor() as cursor:
                cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self._pid])
                if cursor.fetchone()[0]:
                    return "blocked"
            time.sleep(0.005)
        raise AssertionError("neither done nor blocked")

    def end(self) -> None:
        """Wait for its end; what it raised is raised here."""
        self._thread.join(GIVE_UP)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
