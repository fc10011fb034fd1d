"""What one worker holds: its leases, the runs under way on them, and the results not yet settled."""

import random
import time
from collections.abc import Callable

from django.conf import settings

from events.ids import uuid7

from . import claim, judge, lanes
from .channels import SHARDS
from .claim import Claimed, Lease
from .destinations import Directory, Sender, Unusable
from .pause import pause, rest
from .prepare import one_suspect, prepare
from .sending import Ended, Run, Sent, Threads
from .settle import Result, settle
from .transports.base import Verdict

CHANNELS_AT_ONCE = 8  # leased in one go, so that several workers share what is due
CHANNELS_HELD = 64
LEASE_EVERY = 0.1  # seconds
FLUSH_SIZE = 64  # results
FLUSH_AFTER = 0.05  # seconds
RENEW_EVERY = 5.0  # seconds
RUNS_A_THREAD = 8  # runs handed out for each thread, so that none waits for the database

Destination = tuple[int | None, int | None]


class Holdings:
    """Takes work, hands it to the threads, and settles what they report. One thread uses it."""

    def __init__(self, owner: str, *, on_report: Callable[[], None]) -> None:
        self.owner = owner
        self.leases: dict[int, Lease] = {}
        self.settled = 0
        self._threads = Threads(settings.DELIVERY_THREADS, on_report=on_report)
        self._directory = Directory()
        self._results: list[Result] = []
        self._untried: list[Claimed] = []
        self._ended: list[Run] = []
        self._under_way = 0  # runs handed to the threads
        self._suspects_wait = False  # for nothing else to be under way
        self._waiting_since = 0.0
        self._renewed = time.monotonic()
        self._leased = 0.0
        # Destinations whose last answer was good; the others get one request at a time.
        self._proven: set[Destination] = set()

    def look_again(self) -> None:
        """New work may have come for any of the leased channels."""
        for lease in self.leases.values():
            lease.may_have_work = True

    def take(self) -> int:
        """Lease and fetch what there is room for, and hand it out; return how much was found."""
        room = RUNS_A_THREAD * self._threads.size - self._under_way
        if room < RUNS_A_THREAD * self._threads.size // 2:
            return 0  # enough is waiting for a thread: a later look finds more at once
        if self._suspects_wait and self._under_way:
            return 0
        self._lease()
        senders = self._senders(room)
        if not senders:
            return 0
        work = claim.fetch([self.leases[channel_id] for channel_id in senders])
        try:
            if work.empty_lanes:
                lanes.clear(work.empty_lanes)
            self._dispatch(work.claimed, senders)
        except Exception:
            # They are on record as taken: they go back with the next settle, whatever went wrong.
            self._untried += work.claimed
            raise
        found = {claimed.channel_id for claimed in work.claimed}
        for channel_id in senders:
            lease = self.leases[channel_id]
            lease.may_have_work |= channel_id in found
            lease.served_at = time.monotonic()
        return len(work.claimed) + len(work.empty_lanes)

    def _lease(self) -> None:
        """Lease more channels: at once when none is held, else now and then, so that none starves the rest."""
        now = time.monotonic()
        if len(self.leases) >= CHANNELS_HELD or (self.leases and now - self._leased < LEASE_EVERY):
            return
        self._leased = now
        for lease in claim.lease(self.owner, limit=CHANNELS_AT_ONCE):
            if replaced := self.leases.get(lease.channel_id):
                replaced.is_lost = True
            self.leases[lease.channel_id] = lease

    def _senders(self, room: int) -> dict[int, Sender]:
        """Return the senders of the channels to fetch for, longest unserved first; set the room of each."""
        senders = {}
        for lease in sorted(self.leases.values(), key=lambda lease: lease.served_at):
            if not lease.may_have_work or lease.is_over or room <= 0:
                continue
            destination = (lease.endpoint_id, lease.profile_id)
            try:
                sender = self._directory.sender(*destination)
            except Unusable as fault:
                lease.is_paused = True
                pause(lease, str(fault))
                continue
            # Half the threads at most, so that one destination that hangs leaves the others some.
            limit = min(-(-sender.max_in_flight // SHARDS), max(1, self._threads.size // (2 * SHARDS)))
            lease.room = min(room, (limit if destination in self._proven else 1) - lease.runs)
            if lease.room > 0:
                room -= lease.room
                senders[lease.channel_id] = sender
        return senders

    def _dispatch(self, claimed: list[Claimed], senders: dict[int, Sender]) -> None:
        """Prepare what was claimed, and hand out the runs: a lane's to one thread, others to several."""
        go, wait = one_suspect(claimed, alone=not self._under_way)
        self._suspects_wait = bool(wait)
        notifications = self._directory.notifications({one.subscription_id for one in go})
        prepared = prepare(go, self.leases, senders, notifications)
        for one in wait:
            self.leases[one.channel_id].busy.add(one.id)
        self._results += prepared.results
        self._untried += prepared.untried + wait
        if wait and go and go[0].crash_count:
            self.flush(now=True)  # the suspect is to be the only one on record as taken
        for (channel_id, lane_id), items in prepared.queues.items():
            lease = self.leases[channel_id]
            if not items:
                continue
            if lane_id is None:
                shares = [items[start :: lease.room] for start in range(min(lease.room, len(items)))]
            else:
                lease.busy_lanes.add(lane_id)
                shares = [items]
            for share in shares:
                lease.runs += 1
                self._under_way += 1
                self._threads.submit(Run(lease=lease, sender=senders[channel_id], items=tuple(share)))

    def collect(self) -> None:
        """Take in what the threads have reported, and decide what follows from it."""
        for report in self._threads.reports():
            if not self._waiting_since:
                self._waiting_since = time.monotonic()
            if isinstance(report, Ended):
                self._under_way -= 1
                report.run.lease.runs -= 1
                self._ended.append(report.run)
                self._untried += [item.claimed for item in report.untried]
            else:
                self._results.append(self._judge(report))

    def _judge(self, sent: Sent) -> Result:
        claimed, lease, outcome = sent.item.claimed, sent.run.lease, sent.outcome
        notification = sent.item.notification
        decision = judge.decide(
            outcome,
            attempts=claimed.attempt_count + 1,
            in_lane=claimed.lane_id is not None,
            skips_failures=notification.skips_failures,
            schedule=notification.schedule,
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        delivered = outcome.verdict is Verdict.DELIVERED
        (self._proven.add if delivered else self._proven.discard)((lease.endpoint_id, lease.profile_id))
        if decision.pause_reason or decision.channel_wait:
            lease.is_paused = True
        return Result(
            attempt_id=uuid7(),
            claimed=claimed,
            decision=decision,
            outcome=outcome,
            error="" if delivered else outcome.detail,
        )

    def flush(self, *, now: bool = False) -> None:
        """Settle, when enough has come together or waited long enough, or `now`; renew leases in time."""
        clock = time.monotonic()
        renewing = bool(self.leases) and clock - self._renewed > RENEW_EVERY
        anything = self._results or self._untried or self._ended
        ripe = anything and (
            now
            or not self._under_way
            or len(self._results) >= FLUSH_SIZE
            or clock - self._waiting_since > FLUSH_AFTER
        )
        if not (ripe or renewing):
            return
        results, untried, ended = self._results, self._untried, self._ended
        touched = {result.claimed.channel_id for result in results} | {one.channel_id for one in untried}
        leases = [
            lease
            for lease in self.leases.values()
            if renewing or (lease.channel_id in touched and not lease.is_lost)
        ]
        self._stop_at_fault(results)
        if leases or results:
            settle(results, leases=leases, freed=untried, worker=self.owner)
        # Only now: had the statement failed, it would be repeated with the same attempts.
        self._results, self._untried, self._ended = [], [], []
        self._waiting_since = 0.0
        if renewing:
            self._renewed = clock
        self._tidy(results, untried, ended)

    def _stop_at_fault(self, results: list[Result]) -> None:
        """Pause what is itself at fault and rest what asked for it, before the results are written."""
        for result in results:
            lease = self.leases.get(result.claimed.channel_id)
            if lease is None or lease.epoch != result.claimed.epoch:
                continue
            if result.decision.pause_reason:
                pause(lease, result.decision.pause_reason)
            if result.decision.channel_wait:
                rest(lease, result.decision.channel_wait.total_seconds())

    def _tidy(self, results: list[Result], untried: list[Claimed], ended: list[Run]) -> None:
        self.settled += sum(1 for result in results if result.outcome)
        for run in ended:
            run.lease.may_have_work = True
            if lane_id := run.items[0].claimed.lane_id:
                run.lease.busy_lanes.discard(lane_id)
        for one in [result.claimed for result in results] + untried:
            lease = self.leases.get(one.channel_id)
            if lease and lease.epoch == one.epoch:
                lease.busy.discard(one.id)
                lease.may_have_work = True

    def release(self, *, everything: bool = False) -> None:
        """Give back the channels that have nothing for us now."""
        done = [lease for lease in self.leases.values() if everything or lease.is_done]
        if done:
            claim.release(done)
        for lease in done:
            del self.leases[lease.channel_id]

    @property
    def is_sending(self) -> bool:
        """Whether runs are under way."""
        return self._under_way > 0

    def stop(self) -> None:
        """Start no more sends."""
        self._threads.stop()

    def close(self) -> None:
        """End the threads and close the connections to the other side."""
        self._threads.close()
        self._directory.close()
