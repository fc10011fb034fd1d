"""The one place where the model touches the engine: a worker whose every step is a call of its own.

It does what notifications/holdings.py does, without its threads: a send is a step, and what it tells is kept
until the step that settles it. A change of the engine's functions is followed here and nowhere else.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import AnonymousUser

from events.ids import uuid7
from notifications import claim, fetch, judge, lanes, operate
from notifications.claim import Lease
from notifications.destinations import Directory, Sender
from notifications.fan_out import fan_out
from notifications.fetch import Claimed
from notifications.models import Endpoint
from notifications.pause import stop_at_fault
from notifications.prepare import prepare
from notifications.sending import Item
from notifications.settle import Result, settle
from notifications.transports.base import Message, Outcome, Transport, Verdict

__all__ = ["Answer", "Run", "Worker", "cancel", "fan_out", "resume", "retry", "skip"]

SEND_TAKES = 15.0  # seconds, of which that many must be left of a lease
OPERATOR = AnonymousUser()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one send meets: whether the receiver gets it, and what the worker hears."""

    verdict: Verdict
    arrives: bool = True
    retry_after: timedelta | None = None


class NoTransport(Transport):
    """Stands where a transport belongs; the model's sends are steps of its own."""

    def send(self, message: Message) -> Outcome:
        raise NotImplementedError


@dataclass(slots=True, kw_only=True)
class Run:
    """Deliveries that go one after another."""

    lease: Lease
    items: list[Item]
    is_ended: bool = False


@dataclass(kw_only=True)
class Worker:
    """Leases, fetches, sends, settles and releases when it is told to."""

    directory: Directory
    name: str = field(default_factory=lambda: f"model:{uuid7().hex[-8:]}")
    leases: dict[int, Lease] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    _results: list[Result] = field(default_factory=list)
    _untried: list[Claimed] = field(default_factory=list)

    def lease(self, limit: int) -> list[Lease]:
        """Lease due channels."""
        leases = claim.lease(self.name, limit=limit)
        for lease in leases:
            if replaced := self.leases.get(lease.channel_id):
                replaced.is_lost = True
            self.leases[lease.channel_id] = lease
        return leases

    def fetch(self, room: int = 1) -> list[int]:
        """Take due work on its channels; return the ids of what it holds for sending now."""
        asked = [lease for lease in self.leases.values() if not lease.is_over and lease.runs < room]
        if not asked:
            return []
        for lease in asked:
            lease.room = room - lease.runs
        work = fetch.fetch(asked, alone=not (self.running or self._results or self._untried))
        if work.empty_lanes:
            lanes.clear(work.empty_lanes)
        return self._prepare(work.claimed)

    def _prepare(self, claimed: list[Claimed]) -> list[int]:
        sender = Sender(transport=NoTransport(), max_in_flight=8, rate_per_minute=None, timeout=SEND_TAKES)
        notifications = self.directory.notifications({one.subscription_id for one in claimed})
        prepared = prepare(claimed, self.leases, dict.fromkeys(self.leases, sender), notifications)
        self._results += prepared.results
        self._untried += prepared.untried
        taken = []
        for (channel_id, lane_id), items in prepared.queues.items():
            lease = self.leases[channel_id]
            if not items:
                continue
            for share in [items] if lane_id is not None else [[item] for item in items]:
                lease.runs += 1
                self.runs.append(Run(lease=lease, items=share))
            taken += [item.claimed.id for item in items]
        return taken

    @property
    def running(self) -> list[Run]:
        """Runs that have something left to send."""
        return [run for run in self.runs if not run.is_ended]

    def next_of(self, run: Run) -> Item | None:
        """Return what the run sends next; None ends it: its lease leaves no time for a send."""
        if run.lease.is_over or time.monotonic() + SEND_TAKES > run.lease.safe_until:
            self._end(run)
            return None
        return run.items[0]

    def sent(self, run: Run, answer: Answer) -> None:
        """Take in the answer to what the run sent."""
        item = run.items.pop(0)
        outcome = Outcome(
            verdict=answer.verdict,
            started_at=datetime.now(UTC),
            duration=timedelta(0),
            detail=str(answer.verdict),
            retry_after=answer.retry_after,
        )
        decision = judge.decide(
            outcome,
            attempts=item.claimed.attempt_count + 1,
            in_lane=item.claimed.lane_id is not None,
            skips_failures=item.notification.skips_failures,
            schedule=item.notification.schedule,
            jitter=0.0,
        )
        if decision.pause_reason or decision.channel_wait:
            run.lease.is_paused = True
        self._results.append(
            Result(attempt_id=uuid7(), claimed=item.claimed, decision=decision, outcome=outcome, error="")
        )
        if not run.items or answer.verdict is not Verdict.DELIVERED:
            self._end(run)

    def _end(self, run: Run) -> None:
        run.is_ended = True
        run.lease.runs -= 1
        self._untried += [item.claimed for item in run.items]

    def settle(self) -> None:
        """Write down what it knows, and renew its leases."""
        results, untried, self._results, self._untried = self._results, self._untried, [], []
        stop_at_fault(results, self.leases)
        leases = [lease for lease in self.leases.values() if not lease.is_lost]
        settle(results, leases=leases, freed=untried, worker=self.name)
        for one in [result.claimed for result in results] + untried:
            lease = self.leases.get(one.channel_id)
            if lease and lease.epoch == one.epoch:
                lease.busy.pop(one.id, None)
                lease.may_have_work = True
        for run in [run for run in self.runs if run.is_ended]:
            self.runs.remove(run)
            run.lease.may_have_work = True

    def release(self) -> None:
        """Give back what has no work for it."""
        done = [lease for lease in self.leases.values() if lease.is_done]
        if done:
            claim.release(done)
        for lease in done:
            del self.leases[lease.channel_id]


def retry(delivery_id: int) -> None:
    """An operator retries a delivery."""
    operate.retry([delivery_id], OPERATOR)


def skip(delivery_id: int) -> None:
    """An operator skips a delivery."""
    operate.skip([delivery_id], OPERATOR)


def cancel(delivery_id: int) -> None:
    """An operator cancels a delivery."""
    operate.cancel([delivery_id], OPERATOR)


def resume() -> None:
    """An operator resumes every endpoint that the engine paused."""
    for endpoint in Endpoint.objects.exclude(paused_reason=""):
        endpoint.paused_reason = ""
        endpoint.save(update_fields=["paused_reason"])
