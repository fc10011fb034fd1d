"""django-q2's cluster, made to end: in good order where it can, in time and whole in any case.

1. Its signal handler only takes note; the stock one takes locks in the handler, and can stand still for ever.
2. Of its processes the main one alone heeds SIGTERM: sent to the whole group, it cuts no send short.
3. Once asked to stop, it asks its workers, through the database each second, to settle what they send and to
   take nothing more; a task of theirs that begins later ends at once. What has not ended after GRACE seconds
   is killed; orphaned, after three.
4. A process whose parent was killed is killed by the kernel: whichever dies, nothing of the cluster works on alone.
5. A cluster whose sentinel died ends with status 70; the stock one reports success.
6. A worker killed while it says that its task is done leaves no lock behind that its sentinel waits for
   (`task_timer`).
"""

import os
import signal
import threading
import time
from multiprocessing import Event
from types import FrameType
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, connection
from django_q import cluster as stock

from notifications.runners import ask_to_stop, end_forked

from .lifeline import die_with_parents
from .task_timer import TaskTimer

log = structlog.get_logger(__name__)

GRACE = 20.0  # seconds: the longest send is 15
_ORPHANED = 3.0
_TICK = 0.05
SENTINEL_DIED = 70
STOPPED_BY_FORCE = 75


class Sentinel(stock.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """Guards the workers, and is deaf to all but the main process."""

    def start(self) -> None:
        """Start the processes, which are as deaf, and guard them until the main process says stop."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().start()

    def spawn_worker(self) -> None:
        """Start a worker, whose death frees what the sentinel waits for."""
        self.spawn_process(stock.worker, self.task_queue, self.result_queue, TaskTimer(), self.timeout)

    def reincarnate(self, process: Any) -> None:
        """Replace a process; one that outlived its task's limit is killed, as SIGTERM does not reach it."""
        is_late = process in self.pool and process.timer.value == 0
        super().reincarnate(process)
        if is_late:
            process.kill()

    def stop(self) -> None:
        """Stop in good order; what then still runs would be waited for at exit."""
        super().stop()
        for process in (self.pusher, self.monitor, *self.pool):
            if process.is_alive():
                process.kill()


class Cluster(stock.Cluster):  # type: ignore[misc]
    """The main process of one cluster, whose workers' rows bear the name `known_as`."""

    def __init__(self, *, known_as: str) -> None:
        super().__init__()
        self._known_as = known_as
        self._is_asked = False
        self._parent = os.getppid()

    def sig_handler(self, _signum: int, _frame: FrameType | None) -> None:
        """Take note that SIGTERM or SIGINT came."""
        self._is_asked = True

    def start(self) -> int:
        """Start the sentinel."""
        die_with_parents()
        self.stop_event, self.start_event = Event(), Event()
        self.sentinel = stock.get_mp_context().Process(
            target=Sentinel, args=(self.stop_event, self.start_event, self.cluster_id, None, None)
        )
        self.sentinel.start()
        return int(self.pid)

    def run(self) -> int:
        """Run until asked to stop; return the exit status. The caller ends without joining anything."""
        self.start()
        while self.sentinel.is_alive() and not self._is_asked:
            time.sleep(_TICK)
        if not self._is_asked:
            log.error("the sentinel ended by itself", status=self.sentinel.exitcode)
            return SENTINEL_DIED
        end_forked()
        # In a thread: a dead process may hold the event's lock, and the database may hang.
        threading.Thread(target=self._ask, daemon=True).start()
        ends = time.monotonic() + GRACE
        while self.sentinel.is_alive() and time.monotonic() < ends:
            if os.getppid() != self._parent:  # The shim was killed: nobody waits for us.
                ends = min(ends, time.monotonic() + _ORPHANED)
                self._parent = os.getppid()
            time.sleep(_TICK)
        return STOPPED_BY_FORCE if self.sentinel.is_alive() else 0

    def _ask(self) -> None:
        self.stop_event.set()
        while True:
            try:
                ask_to_stop(self._known_as)
            except (DatabaseError, InterfaceError) as error:
                log.warning("workers not asked to stop; they end with their budget", error=str(error).strip())
                connection.close()
            time.sleep(1)  # Again, should one have missed it.
