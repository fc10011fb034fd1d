"""What the threads have reported, from there until it is settled."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial

from events.ids import uuid7

from . import breaker, circuits, finish_digests, judge, ration, refused_address
from .batch import Batch
from .breaker import DISABLED
from .claim import TURN, Lease
from .clerk import Clerk
from .collect import KEY
from .destinations import LONGEST_SEND
from .fetch import Claimed
from .pause import pause, stop_at_fault
from .sending import TELLS_EVERY, Ended, Item, Run, Sent, Threads
from .settle import Result
from .transports.base import Verdict

FLUSH_SIZE = 128  # results
FLUSH_AFTER = 0.05  # seconds
RENEW_EVERY = 5.0  # seconds
LOOK_AFTER = 0.1  # seconds, after which a run that ended in any order has its channel looked at again
LONGEST_FINISH = 0.5  # seconds for what digests carry, while nothing else is settled


class Books:
    """Judges reports and settles them in batches. One thread uses it."""

    def __init__(self, owner: str, *, threads: Threads, clerk: Clerk, leases: Mapping[int, Lease]) -> None:
        self.settled = 0
        self.under_way = 0  # runs handed to the threads
        self._owner = owner
        self._threads = threads
        self._leases = leases
        self._batch = Batch()
        self._clerk = clerk
        self._being_written: tuple[Batch, Future[None]] | None = None  # by the clerk
        self._ailing: set[int] = set()  # circuits that count failures, as far as this worker knows
        self._unused: Counter[int] = Counter()  # tokens of what was not tried, by circuit
        self._ends_digests = False  # one that has ended may carry more than was settled at once
        self._waiting_since = 0.0
        self._renewed = time.monotonic()

    def enter(self, run: Run) -> None:
        """Hand a run to the threads."""
        self.under_way += 1
        self._start(run)

    def line_up(self, run: Run) -> None:
        """Have a run take the place of one of its lease's as soon as that has gone well."""
        self.under_way += 1
        if run.lease.runs:
            run.lease.pace = run.pace
            run.lease.followers.append(run)
        else:
            self._start(run)

    def _start(self, run: Run) -> None:
        run.lease.runs += 1
        run.pace.under_way += 1
        self._threads.submit(run)

    def note(self, results: list[Result], untried: list[Claimed]) -> None:
        """Take in what was decided or given up without being sent."""
        self._batch.results += results
        self._batch.untried += untried

    def unuse(self, lease: Lease, tokens: int) -> None:
        """Take back tokens of its rate with which nothing was sent."""
        self._unused[lease.circuit_id] += tokens

    def collect(self) -> None:
        """Take in what the threads have reported, and decide what follows from it."""
        for report in self._threads.reports():
            if not self._waiting_since:
                self._waiting_since = time.monotonic()
            if isinstance(report, Ended):
                self._end(report.run, report.untried)
                if not report.is_followed:
                    self._leave(report)
            else:
                self._batch.results.append(self._judge(report))
                if report.run.window:
                    self._batch.windows.append(report.run.window)

        for lease in self._leases.values():
            if lease.followers and (lease.is_over or not (lease.pace and lease.pace.is_fast)):
                self._send_home(lease)

    def _end(self, run: Run, untried: tuple[Item, ...]) -> None:
        self.under_way -= 1
        self._batch.ended.append(run)
        self._batch.untried += [item.claimed for item in untried]
        if run.is_rated:
            self.unuse(run.lease, len(untried))

    def _leave(self, ended: Ended) -> None:
        """Start what was lined up when the run had ended already, or give it back if that did not go well."""
        lease, pace = ended.run.lease, ended.run.pace
        lease.runs -= 1
        pace.under_way -= 1
        if ended.untried or lease.is_over or not pace.is_fast:
            self._send_home(lease)
        elif following := lease.follower():
            self._start(following)

    def _send_home(self, lease: Lease) -> None:
        """Give back what was lined up: its turn will not come soon."""
        while following := lease.follower():
            self._end(following, following.items)

    def _judge(self, sent: Sent) -> Result:
        claimed, lease, outcome, pace = sent.item.claimed, sent.run.lease, sent.outcome, sent.run.pace
        notification = sent.item.notification
        answer = breaker.answer(outcome, claimed.id, is_probe=lease.probes)
        decision = judge.decide(
            outcome,
            attempts=claimed.attempt_count + 1,
            in_lane=claimed.lane_id is not None,
            skips_failures=notification.skips_failures,
            is_failed_probe=lease.probes and answer is not None and not answer.is_good,
            holds_unknown=sent.run.sender.holds_unknown,
            schedule=notification.schedule,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        delivered = outcome.verdict is Verdict.DELIVERED
        pace.is_stalled = False
        if delivered:
            pace.good(outcome.duration.total_seconds(), most=sent.run.sender.max_in_flight)
        else:
            pace.bad()
        if answer and not answer.is_good:
            # A lease knows only what its last look saw.
            self._ailing.add(lease.circuit_id)
        if answer and (lease.is_ailing or lease.circuit_id in self._ailing):
            self._batch.answers[lease.circuit_id].append(answer)
            self._batch.circuits[lease.circuit_id] = lease
        if decision.pause_reason or decision.channel_wait or lease.probes:
            lease.is_paused = True
        return Result(
            attempt_id=uuid7(),
            claimed=claimed,
            decision=decision,
            outcome=outcome,
            error="" if delivered else outcome.detail,
        )

    def flush(self, *, now: bool = False) -> None:
        """Settle, when enough has come together or waited long enough, or `now`; renew leases in time.

        While sends are under way the clerk does it, and what comes meanwhile makes the next batch.
        """
        waits = now or not self.under_way
        if self._being_written and (waits or self._being_written[1].done()):
            (batch, future), self._being_written = self._being_written, None
            self._conclude(batch, future.result)
        clock = time.monotonic()
        renews = bool(self._leases) and clock - self._renewed > RENEW_EVERY
        is_ripe = (self._ends_digests or not self._batch.is_empty) and (
            waits
            or len(self._batch.results) >= FLUSH_SIZE
            or len(self._batch.windows) >= TELLS_EVERY
            or clock - self._waiting_since > FLUSH_AFTER
        )
        if self._being_written or not (is_ripe or renews):
            return
        stop_at_fault(self._batch.results, self._leases)
        batch = self._close_batch(clock if renews else None)
        write = partial(batch.write, self._owner)
        if waits:
            self._conclude(batch, write)
            return
        try:
            self._being_written = batch, self._clerk.begin(write)
        except Exception:
            self._batch.follow(batch)
            raise

    def _close_batch(self, renews_at: float | None) -> Batch:
        batch, self._batch = self._batch, Batch()
        self._waiting_since = 0.0
        touched = {result.claimed.channel_id for result in batch.results}
        touched |= {one.channel_id for one in batch.untried}
        batch.renews_at = renews_at
        batch.leases = [
            lease
            for lease in self._leases.values()
            if renews_at is not None or (lease.channel_id in touched and not lease.is_lost)
        ]
        return batch

    def _conclude(self, batch: Batch, write: Callable[[], None]) -> None:
        """Do what waits for the batch; had it failed, it is repeated with the same attempts."""
        try:
            write()
        except Exception:
            self._batch.follow(batch)
            raise
        for window in batch.windows:
            window.release()
        if batch.renews_at is not None:
            self._renewed = batch.renews_at
        self._tidy(batch.results, batch.untried, batch.ended)
        if batch.answers:
            self._tell_circuits(batch)
        if +self._unused:
            ration.give_back(+self._unused)
        self._unused.clear()
        refused_address.follow(batch.results)
        if self._ends_digests or any(result.claimed.ordering_key == KEY for result in batch.results):
            self._ends_digests = finish_digests.finish(seconds=LONGEST_FINISH) >= finish_digests.BATCH

    def _tell_circuits(self, batch: Batch) -> None:
        """Write down how ailing destinations fare; disable those that have failed for days.

        Not before what was tried is settled: a circuit that opens looks for what may be its probe.
        """
        careful = circuits.Careful(slots=self._threads.careful_slots(), deadline=LONGEST_SEND)
        try:
            lost_causes = circuits.record(batch.answers, batch.circuits, careful)
            for circuit, state in lost_causes.items():
                last = next(
                    (answer.detail for answer in reversed(batch.answers[circuit]) if answer.detail), ""
                )
                since = f"{state.failing_since:%Y-%m-%d %H:%M} UTC"
                reason = f"{DISABLED}everything has failed since {since}. {last}".strip()
                pause(batch.circuits[circuit], reason)
        except Exception:
            self._batch.follow_answers(batch)
            raise
        well = {circuit for circuit, answers in batch.answers.items() if answers[-1].is_good}
        self._ailing -= well - self._batch.answers.keys()

    def _tidy(self, results: list[Result], untried: list[Claimed], ended: list[Run]) -> None:
        self.settled += sum(1 for result in results if result.outcome)
        now = time.monotonic()
        for run in ended:
            # In any order all that was due was found, or it is known that there is more. What was made since, many
            # at once, is announced; and no wake-up is missed as a channel is given back.
            run.lease.may_have_work |= (
                any(item.claimed.lane_id for item in run.items) or now - run.lease.served_at > LOOK_AFTER
            )
            # One at a time, and another worker waits for its turn.
            run.lease.is_paused |= run.lease.has_rival and now > run.lease.since + TURN
        for result in results:
            # Accepted, it makes nothing due: what comes after it in its lane is looked for when the run ends.
            self._let_go(result.claimed, makes_work=result.decision.status != "delivered")
        for claimed in untried:
            self._let_go(claimed, makes_work=True)

    def _let_go(self, claimed: Claimed, *, makes_work: bool) -> None:
        lease = self._leases.get(claimed.channel_id)
        if lease and lease.epoch == claimed.epoch:
            lease.busy.pop(claimed.id, None)
            lease.may_have_work |= makes_work
