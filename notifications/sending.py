"""The threads that send. They do HTTP and SMTP only: no ORM, no connection to the database."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from .claim import Claimed, Lease
from .destinations import Notification, Sender
from .transports.base import Message, Outcome, Verdict

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One delivery, ready to be sent."""

    claimed: Claimed
    message: Message
    notification: Notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Deliveries that go one after another: the next of one lane, or a single one in any order."""

    lease: Lease
    sender: Sender
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An item that was tried."""

    run: Run
    item: Item
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run is over; what it did not try goes back as it was."""

    run: Run
    untried: tuple[Item, ...]


class Threads:
    """A bounded pool of sending threads with one inbox of runs and one outbox of reports."""

    def __init__(self, count: int, *, on_report: Callable[[], None]) -> None:
        self._runs: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[Sent | Ended] = queue.SimpleQueue()
        self._on_report = on_report
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"send-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def size(self) -> int:
        """How many threads there are."""
        return len(self._threads)

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

    def stop(self) -> None:
        """Start nothing more; sends under way go on and report."""
        self._stopping.set()

    def close(self) -> None:
        """End the threads once their runs are over."""
        self.stop()
        for _ in self._threads:
            self._runs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (run := self._runs.get()) is not None:
            untried = run.items
            while untried and self._may_start(run):
                outcome = attempt(run.sender, untried[0].message)
                self._reports.put(Sent(run=run, item=untried[0], outcome=outcome))
                untried = untried[1:]
                if outcome.verdict is not Verdict.DELIVERED:
                    break
            self._reports.put(Ended(run=run, untried=untried))
            self._on_report()

    def _may_start(self, run: Run) -> bool:
        """Tell whether a whole send still fits into the lease."""
        return not (
            self._stopping.is_set()
            or run.lease.is_over
            or time.monotonic() + run.sender.timeout > run.lease.safe_until
        )


def attempt(sender: Sender, message: Message) -> Outcome:
    """Send once. A transport raises only on a bug, which is logged and counts as a failure."""
    started_at, started = datetime.now(UTC), time.monotonic()
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
