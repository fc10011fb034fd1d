"""Have watchdogs look once a second, in a thread: a database that hangs must not hold up the supervisor."""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import structlog
from django.db import connections

from .product import CLUSTERS
from .supervise import Supervisor
from .watchdog import Watchdog

log = structlog.get_logger(__name__)

_FAREWELL = 2.0  # seconds for the last words to the database


class Watch:
    """Watches inside a `with` block."""

    def __init__(self, watchdogs: Sequence[Watchdog]) -> None:
        self._watchdogs = watchdogs
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_FAREWELL)

    def _run(self) -> None:
        while not self._over.wait(1):
            for watchdog in self._watchdogs:
                try:
                    watchdog()
                except Exception:  # A bug in here must not leave the clusters unwatched.
                    log.exception("watchdog failed", cluster=watchdog.address)
        for watchdog in self._watchdogs:
            watchdog.end()
        connections.close_all()


def over(supervisor: Supervisor, cluster: str, say: Callable[[str], None]) -> Watch:
    """Return the watch over the clusters that this supervisor runs under the name `cluster`."""

    def watchdog(queue: str) -> Watchdog:
        return Watchdog(
            queue=queue,
            cluster=cluster,
            started_at=lambda: supervisor.started_at(queue),
            restart=lambda: supervisor.restart_soon(queue),
            say=say,
        )

    return Watch([watchdog(queue) for queue in CLUSTERS])
