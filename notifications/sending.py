"""The threads that send. They do HTTP and SMTP only: no ORM, no connection to the database.

So many threads are kept for young sends. One that has waited for 100 ms is replaced by another thread, as
waiting costs no processor; what is left over ends by itself.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog

from .claim import Lease
from .destinations import Notification, Sender
from .fetch import Claimed
from .pace import SLOW, Pace
from .transports import clock
from .transports.base import Message, Outcome, Verdict

log = structlog.get_logger(__name__)

REPLACED_AFTER = 0.1  # seconds
# A thread that waits costs next to nothing: with 64, ninety endpoints that hung at first contact kept healthy ones
# waiting for 15 s; now all are reached in 5 s.
MOST = 256
# Of what is left, so much is for destinations that are not known to be fast: they never take the last ones.
CAREFUL_SHARE = 0.6
TELLS_EVERY = 4  # sends of a run whose beginning is settled while it goes on
_LOOKS_EVERY = 0.5  # seconds


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery, ready to be sent."""

    claimed: Claimed
    message: Message
    notification: Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Deliveries that go one after another: the next of a lane or of several, or some in any order."""

    lease: Lease
    sender: Sender
    pace: Pace
    items: tuple[Item, ...]
    # Of a lane's run that is longer than may be unsettled: what may be sent before more is settled.
    window: threading.Semaphore | None = None
    is_rated: bool = False  # each item has a token of its destination's rate


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An item that was tried."""

    run: Run
    item: Item
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run is over; what it did not try goes back as it was."""

    run: Run
    untried: tuple[Item, ...]
    is_followed: bool  # another run of its lease has taken its place


@dataclass(slots=True)
class _Place:
    """What one thread does now."""

    run: Run | None = None
    since: float = 0.0  # monotonic seconds; when its send began
    has_ended: bool = False


class Threads:
    """A pool of sending threads with one inbox of runs and one outbox of reports."""

    def __init__(self, size: int, *, on_report: Callable[[], None]) -> None:
        self.size = size  # threads for young sends
        self._runs: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[Sent | Ended] = queue.SimpleQueue()
        self._on_report = on_report
        self._stopping = threading.Event()
        self._threads: dict[threading.Thread, _Place] = {}
        self._waited_for: list[Pace] = []
        self._asked_to_end = 0
        for _ in range(size):
            self._start_one()

    def careful_slots(self, *, stalled: int = 0) -> int:
        """Return how many runs at once may be for destinations that are not known to be fast.

        `stalled` threads wait for destinations that were fast until a moment ago.
        """
        left = MOST - 2 * self.size - stalled
        return max(int(left * CAREFUL_SHARE), min(self.size, left + self.size), 1)

    def submit(self, run: Run) -> None:
        """Hand over a run."""
        self._runs.put(run)

    def reports(self) -> Iterator[Sent | Ended]:
        """Yield what has been reported so far, without waiting."""
        while True:
            try:
                yield self._reports.get_nowait()
            except queue.Empty:
                return

    def tend(self) -> None:
        """Note which destinations keep a thread waiting, and see that enough threads are left for the others."""
        now = time.monotonic()
        replaced = 0
        for pace in self._waited_for:
            pace.waiting = 0
        self._waited_for.clear()
        for thread, place in list(self._threads.items()):
            if place.has_ended:
                thread.join()
                del self._threads[thread]
                self._asked_to_end -= 1
                continue
            run, since = place.run, place.since
            if run is None or not since:
                continue
            replaced += now - since > REPLACED_AFTER
            if now - since > SLOW:
                self._waited_for.append(run.pace)
                run.pace.waiting += 1
                run.pace.is_stalled = not run.pace.is_patient
        free = len(self._threads) - self._asked_to_end - replaced
        if free < self.size and not self._runs.empty():
            for _ in range(min(self.size - free, MOST - len(self._threads))):
                self._start_one()
        elif free > self.size:
            self._end(free - self.size)

    def stop(self) -> None:
        """Start nothing more; sends under way go on and report."""
        self._stopping.set()

    def close(self) -> None:
        """End the threads once their runs are over."""
        self.stop()
        self._end(len(self._threads))
        for thread in self._threads:
            thread.join()

    def _start_one(self) -> None:
        place = _Place()
        thread = threading.Thread(target=self._work, args=(place,), name="send", daemon=True)
        self._threads[thread] = place
        thread.start()

    def _end(self, count: int) -> None:
        self._asked_to_end += count
        for _ in range(count):
            self._runs.put(None)

    def _work(self, place: _Place) -> None:
        while (run := self._runs.get()) is not None:
            place.run = run
            untried, following = run.items, None
            while untried and self._may_start(run) and self._window_is_open(run):
                place.since = time.monotonic()
                outcome = attempt(run.sender, untried[0].message)
                place.since = 0.0
                self._reports.put(Sent(run=run, item=untried[0], outcome=outcome))
                untried = untried[1:]
                if outcome.verdict is not Verdict.DELIVERED:
                    break
                # It may have been our own send; should another one wait there, that is noted again at once.
                run.pace.is_stalled = False
                if run.window and len(untried) % TELLS_EVERY == 0:
                    self._on_report()
                if not untried:
                    following = run.lease.follower()
            place.run = None
            if following:
                self._runs.put(following)  # behind those of the others
            self._reports.put(Ended(run=run, untried=untried, is_followed=following is not None))
            self._on_report()
        place.has_ended = True

    def _may_start(self, run: Run) -> bool:
        """Tell whether a whole send still fits into the lease, and nobody waits for an answer there."""
        return not (
            self._stopping.is_set()
            or run.lease.is_over
            or run.pace.is_stalled
            or time.monotonic() + run.sender.timeout > run.lease.safe_until
        )

    def _window_is_open(self, run: Run) -> bool:
        """Wait until what was sent before is settled far enough; tell whether it was, in time."""
        if run.window is None:
            return True
        while not run.window.acquire(timeout=_LOOKS_EVERY):
            if not self._may_start(run):
                return False
        return self._may_start(run)  # settling may have found that the lease is lost


def attempt(sender: Sender, message: Message) -> Outcome:
    """Send once. A transport raises only on a bug, which is logged and counts as a failure."""
    started_at, started = clock.now(), time.monotonic()
    try:
        return sender.transport.send(message)
    except Exception as error:
        log.exception("transport bug", message_id=message.id)
        return Outcome(
            verdict=Verdict.UNKNOWN,
            error_class="bug",
            detail=f"Bellwether failed while sending: {type(error).__name__}: {error}",
            started_at=started_at,
            duration=timedelta(seconds=time.monotonic() - started),
        )
