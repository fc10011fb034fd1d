"""What one worker holds: its leases, and the work that it takes on them and hands to the threads."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from django.conf import settings

from . import claim, divert, fetch, lanes, ration
from .books import Books
from .circuits import give_back_probe
from .claim import Lease
from .clerk import Clerk
from .destinations import Directory, Sender
from .fetch import Claimed
from .nudge import tell
from .pace import Paces
from .prepare import prepare
from .rooms import find_room
from .sending import Run, Threads
from .share_out import share_out
from .waiting import DELIVERIES, HUNGRY

CHANNELS_AT_ONCE = 16  # leased in one go, so that several workers share what is due
CHANNELS_HELD = 64  # besides those that wait for an answer
LEASE_EVERY = 0.05  # seconds
LEASE_SELDOM = 0.5  # seconds; after a look that found none
LEASE_SATED = 0.2  # seconds; while all its threads have work
RUNS_A_THREAD = 8  # runs handed out for each thread, so that none waits for the database
RUNS_AT_LEAST = 64
ASK_EVERY = 0.25  # seconds; while others may have work and there is none to lease


class Holdings:
    """Takes work, hands it to the threads, and gives back what has none. One thread uses it."""

    def __init__(self, owner: str, *, on_report: Callable[[], None]) -> None:
        self.owner = owner
        self.leases: dict[int, Lease] = {}
        self._threads = Threads(settings.DELIVERY_THREADS, on_report=on_report)
        self._paces = Paces()
        self._directory = Directory()
        self._clerk = Clerk(on_report=on_report)
        self._books = Books(owner, threads=self._threads, clerk=self._clerk, leases=self.leases)
        self._is_narrow = True  # no run waits for a thread
        self._is_suspecting = False  # a suspect is under way, or waits until nothing else is
        self._leased_at = 0.0  # monotonic seconds; the last look for channels
        self._lease_at = 0.0  # the next one
        self._sated_until = 0.0
        self._asked_at = 0.0

    @property
    def settled(self) -> int:
        """How many tries were settled."""
        return self._books.settled

    @property
    def is_sending(self) -> bool:
        """Whether runs are under way."""
        return self._books.under_way > 0

    @property
    def _busy(self) -> int:
        """How many runs take a thread, or wait for one. Those that wait for an answer take none from the others."""
        return self._books.under_way - self._paces.waiting()

    def look_again(self) -> None:
        """New work may have come for any of the leased channels."""
        if self._busy < self._threads.size:
            self._lease_at = 0.0
        for lease in self.leases.values():
            lease.may_have_work = True

    def ask(self) -> None:
        """Ask the others for some of their channels, as there is none to lease; not too often."""
        if time.monotonic() - self._asked_at > ASK_EVERY:
            self._asked_at = time.monotonic()
            tell(HUNGRY)

    def share(self) -> None:
        """Give half of the channels that are served here to a worker that has none, if there is enough to do.

        Else whoever came first would keep all of them until nothing waits, beside workers with nothing to do.
        """
        self._asked_at = time.monotonic()  # who is hungry, too, hears of what is given now
        if self._busy < self._threads.size or any(lease.is_given for lease in self.leases.values()):
            return
        serving = [
            lease
            for lease in self.leases.values()
            if not (
                lease.is_over or lease.is_single or lease.probes or self._paces.of(lease.destination).waiting
            )
        ]
        for lease in serving[: len(serving) // 2]:
            lease.is_given = True
            self._lease_at = time.monotonic() + LEASE_SATED  # the other is to find them first

    def collect(self) -> None:
        """Take in what the threads report; with nothing under way, settle it at once."""
        self._threads.tend()
        self._books.collect()
        if not self.is_sending:
            self._books.flush()

    def settle(self, *, now: bool = False) -> None:
        """Write down what was reported once enough has come together, or `now`."""
        self._books.flush(now=now)

    def take(self) -> int:
        """Lease and fetch what there is room for, and hand it out; return how much was found."""
        most = max(RUNS_AT_LEAST, RUNS_A_THREAD * self._threads.size)
        room = most - self._busy
        if room < most // 2:
            return 0  # enough is waiting for a thread: a later look finds more at once
        if self._is_suspecting and self._books.under_way:
            return 0
        self._lease()
        senders = find_room(
            self.leases,
            self._directory,
            self._paces,
            room=room,
            # Few channels have to keep the threads busy, and each would wait for more.
            ahead=2 * self._threads.size - self._busy if len(self.leases) < self._threads.size else 0,
            depth=claim.DEEP if self._is_narrow else claim.PIPELINE,
            careful_slots=self._threads.careful_slots(stalled=self._paces.stalled()),
        )
        if not senders:
            return 0
        asked = [self.leases[channel_id] for channel_id in senders]
        work = fetch.fetch(asked, alone=not self._books.under_way)
        self._is_suspecting = any(lease.has_suspects for lease in asked)
        try:
            # Not before: it has the channels locked, while what was taken is put into words.
            self._books.flush()
            if work.empty_lanes:
                lanes.clear(work.empty_lanes)
            if work.moving_lanes:
                lanes.move(work.moving_lanes)
            handed_out = self._dispatch(work.claimed, senders)
        except Exception:
            # They are on record as taken: they go back with the next settle, and nothing is taken until then.
            self._books.note([], work.claimed)
            for claimed in work.claimed:
                self.leases[claimed.channel_id].busy[claimed.id] = claimed.lane_id
            for lease in asked:
                lease.is_paused = True
                self._books.unuse(lease, lease.tokens)
                lease.tokens = 0
            raise
        if self._busy >= self._threads.size:
            self._sated_until = time.monotonic() + LEASE_SATED
            # From the last look on: whoever always has work would never look again.
            self._lease_at = max(self._lease_at, self._leased_at + LEASE_SATED)
        self._is_narrow = self._books.under_way <= 2 * self._threads.size
        runs = Counter(
            channel for channel, lane in {(c.channel_id, c.lane_id) for c in work.claimed if c.lane_id}
        )
        loose = Counter(claimed.channel_id for claimed in work.claimed if not claimed.lane_id)
        for lease in asked:
            # Else all that is due was found: what becomes due with an answer is looked for after it.
            lease.may_have_work |= bool(work.empty_lanes or work.moving_lanes) or (
                runs[lease.channel_id] >= lease.room or loose[lease.channel_id] >= lease.room * lease.depth
            )
            lease.served_at = time.monotonic()
        self._give_back(asked, handed_out)
        return len(work.claimed) + len(work.empty_lanes) + len(work.moving_lanes)

    def _lease(self) -> None:
        """Lease more channels: at once when none is held, else now and then, so that none starves the rest."""
        now = time.monotonic()
        waiting = sum(1 for lease in self.leases.values() if self._paces.of(lease.destination).waiting)
        if len(self.leases) - waiting >= CHANNELS_HELD:
            return
        if self.leases and now < self._lease_at:
            return
        # With enough to do, it leaves the other half of what it serves to a worker that has not.
        served = {lease.circuit_id for lease in self.leases.values()} if now < self._sated_until else ()
        found = claim.lease(self.owner, limit=CHANNELS_AT_ONCE, served=served)
        self._leased_at, self._lease_at = now, now + (LEASE_EVERY if found else LEASE_SELDOM)
        for lease in found:
            if replaced := self.leases.get(lease.channel_id):
                replaced.is_lost = True
            self.leases[lease.channel_id] = lease

    def _dispatch(self, claimed: list[Claimed], senders: dict[int, Sender]) -> Counter[int]:
        """Prepare what was claimed, and hand out the runs.

        Returns how many deliveries were handed out, by channel.
        """
        handed_out: Counter[int] = Counter()
        notifications = self._directory.notifications({one.subscription_id for one in claimed})
        prepared = prepare(claimed, self.leases, senders, notifications)
        shares, beyond = share_out(prepared.queues, self.leases)
        self._books.note(prepared.results, prepared.untried + [item.claimed for item in beyond])
        for channel_id, runs in shares.items():
            lease = self.leases[channel_id]
            pace, sender = self._paces.of(lease.destination), senders[channel_id]
            at_once = lease.room - lease.ahead
            for number, items in enumerate(runs):
                handed_out[channel_id] += len(items)
                lengths = Counter(item.claimed.lane_id for item in items if item.claimed.lane_id)
                is_long = any(length > claim.PIPELINE for length in lengths.values())
                run = Run(
                    lease=lease,
                    sender=sender,
                    pace=pace,
                    items=tuple(items),
                    window=threading.Semaphore(claim.PIPELINE) if is_long else None,
                    is_rated=lease.tokens > 0,
                )
                if number < at_once:
                    self._books.enter(run)
                else:
                    self._books.line_up(run)
        return handed_out

    @staticmethod
    def _give_back(asked: list[Lease], handed_out: Counter[int]) -> None:
        """Give back the tokens and the probe that this look did not use."""
        unused: Counter[int] = Counter()
        for lease in asked:
            unused[lease.circuit_id] += max(0, lease.tokens - handed_out[lease.channel_id])
            lease.tokens = 0
            if lease.probes and not lease.may_have_work:
                give_back_probe(lease)
        if +unused:
            ration.give_back(+unused)

    def release(self, *, everything: bool = False) -> None:
        """Give back the channels that have nothing for us now."""
        done = [lease for lease in self.leases.values() if everything or lease.is_done]
        if done:
            claim.release(done)
            if stopped := {lease.profile_id for lease in done if lease.profile_id and lease.is_paused}:
                divert.divert(stopped)  # what was under way until now, too
            if any(lease.is_given for lease in done):
                tell(DELIVERIES)
        for lease in done:
            del self.leases[lease.channel_id]

    def stop(self) -> None:
        """Start no more sends."""
        self._threads.stop()

    def close(self) -> None:
        """End the threads and close the connections to the other side."""
        self._threads.close()
        self._clerk.close()
        self._directory.close()
