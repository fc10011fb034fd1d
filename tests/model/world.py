"""The model: simulated workers, a receiver that keeps first arrivals, and time that passes when told to."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from events.publish import publish
from notifications.claim import Lease
from notifications.destinations import Directory
from notifications.models import Channel, Delivery, Runner
from notifications.transports.base import Verdict

from . import invariants, worker
from .worker import Answer, Run, Worker

ACCEPTED = Answer(verdict=Verdict.DELIVERED)
ANSWERS = {
    "accepted": ACCEPTED,
    "no connection": Answer(verdict=Verdict.RETRY, arrives=False),
    "server error": Answer(verdict=Verdict.RETRY),
    "asked to wait": Answer(verdict=Verdict.RETRY, retry_after=timedelta(minutes=1)),
    "refused": Answer(verdict=Verdict.REJECTED),
    "answer lost": Answer(verdict=Verdict.UNKNOWN),
    "request lost": Answer(verdict=Verdict.UNKNOWN, arrives=False),
    "gone": Answer(verdict=Verdict.BLOCKED),
}
# The configuration stays from one example to the next.
_EMPTIED = (
    "notifications_attempt",
    "notifications_renderedbody",
    "notifications_auditentry",
    "notifications_lane",
    "notifications_delivery",
    "events_inboxentry",
    "events_quarantinedevent",
    "events_event",
)
LONG = 700.0  # seconds; longer than a lease
DRAIN_STEPS = 400


@dataclass(slots=True, kw_only=True)
class Arrival:
    """A request that reached the receiver, and what became of the knowledge of it."""

    delivery: int
    lease: Lease
    verdict: Verdict
    was_accepted: bool
    is_settled: bool = False

    @property
    def calls_for_another(self) -> bool:
        """Whether it is on record that the receiver refused it: a retry follows, whatever it accepted before."""
        return self.is_settled and self.verdict not in (Verdict.DELIVERED, Verdict.UNKNOWN)


@dataclass(kw_only=True)
class World:
    """Everything of one example. Steps raise AssertionError when the engine breaks a promise."""

    subscriptions: int
    workers: list[Worker] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    accepted: set[int] = field(default_factory=set)
    # Leases that ended without their worker's doing: what was unsettled under them may be sent again.
    ended: set[tuple[int, int]] = field(default_factory=set)
    published: int = 0
    directory: Directory = field(default_factory=Directory)

    @classmethod
    def empty(cls, *, subscriptions: int, workers: int = 3) -> "World":
        """Return a world without events; the subscriptions in the database stay."""
        with connection.cursor() as cursor:
            cursor.execute(";".join(f"DELETE FROM {table}" for table in _EMPTIED))
            cursor.execute("UPDATE notifications_endpoint SET paused_reason = ''")
            cursor.execute(
                """UPDATE notifications_channel SET is_paused = false, due_at = NULL, not_before = NULL,
                     leased_until = NULL, owner = '', in_flight = '{}'"""
            )
        # Somebody is there to hear: publishing then wakes nobody else.
        Runner.objects.all().delete()
        Runner.objects.create(host="model", pid=1, seen_at=Now() + timedelta(days=1))
        world = cls(subscriptions=subscriptions)
        world.workers = [Worker(directory=world.directory) for _ in range(workers)]
        return world

    def publish(self, *accounts: int) -> None:
        """Publish an event for each of these accounts."""
        for account in accounts:
            self.published += 1
            data = f'{{"account":{{"id":"{account}"}},"invoice":{{"id":"{self.published}"}}}}'
            publish("invoice.posted", data)

    def send(self, by: Worker, run: Run, answer: Answer) -> None:
        """Let a worker send what comes next in a run, under the receiver's eyes."""
        item = by.next_of(run)
        if item is None:
            return
        delivery = item.claimed.id
        if answer.arrives:
            self._arrives(
                Arrival(delivery=delivery, lease=run.lease, verdict=answer.verdict, was_accepted=False)
            )
        by.sent(run, answer)
        if answer.verdict is Verdict.DELIVERED:
            self.arrivals[-1].was_accepted = True
            self.accepted.add(delivery)

    def _arrives(self, arrival: Arrival) -> None:
        rows = self._lane_up_to(arrival.delivery)
        earlier = [each for each in self.arrivals if each.delivery == arrival.delivery]
        self.nothing_given_up_is_sent(arrival, rows.pop(arrival.delivery))
        self.only_the_ambiguous_comes_twice(earlier)
        if not earlier:
            self.first_arrivals_are_in_order(rows)
        self.arrivals.append(arrival)

    def _lane_up_to(self, delivery: int) -> dict[int, str]:
        """Return the status of a delivery, and of all before it in its lane, by id."""
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT b.id, b.status FROM notifications_delivery d JOIN notifications_delivery b
                     ON b.id = d.id OR (b.lane_id = d.lane_id AND b.sequence < d.sequence)
                   WHERE d.id = %s""",
                [delivery],
            )
            return dict(cursor.fetchall())

    def nothing_given_up_is_sent(self, arrival: Arrival, status: str) -> None:
        """What was skipped or cancelled never arrives; only a lease that is over may not know of it yet."""
        assert status not in ("skipped", "cancelled") or self._is_over(arrival.lease), (arrival, status)

    def only_the_ambiguous_comes_twice(self, earlier: list[Arrival]) -> None:
        """What was accepted comes again only if its lease ended before that was settled."""
        assert [
            each
            for each in earlier
            if each.was_accepted and (each.is_settled or not self._is_over(each.lease))
        ] == []

    def first_arrivals_are_in_order(self, before: dict[int, str]) -> None:
        """All before it in its lane were accepted, or given up by a person or by policy."""
        waiting = {pk for pk, status in before.items() if status not in ("skipped", "cancelled", "dead")}
        assert waiting - self.accepted == set()

    def _is_over(self, lease: Lease) -> bool:
        return (lease.channel_id, lease.epoch) in self.ended

    def settle(self, by: Worker) -> None:
        """Settle; where all its leases are over, that changes nothing but the log."""
        over = [lease for lease in by.leases.values() if self._is_over(lease)]
        is_fenced = len(over) == len(by.leases)
        before = invariants.engine_state() if is_fenced else None
        by.settle()
        if before is not None:
            self.a_late_settle_changes_nothing(before)
        for arrival in self.arrivals:
            if arrival.lease in by.leases.values() and not arrival.lease.is_lost:
                arrival.is_settled = True

    def a_late_settle_changes_nothing(self, before: invariants.Found) -> None:
        """A worker whose leases ran out cannot change state any more."""
        assert invariants.engine_state() == before

    def crash(self, number: int) -> None:
        """Forget a worker with all that it holds; a new one takes its place."""
        dead = self.workers[number]
        self.ended |= {(lease.channel_id, lease.epoch) for lease in dead.leases.values()}
        self.workers[number] = Worker(directory=self.directory)

    def expire(self, lease: Lease) -> None:
        """End a lease before its worker has settled; by its own clock it may send no more."""
        Channel.objects.filter(pk=lease.channel_id, epoch=lease.epoch).exclude(leased_until=None).update(
            leased_until=Now(), due_at=Now()
        )
        lease.safe_until = time.monotonic()
        self.ended.add((lease.channel_id, lease.epoch))

    def pass_time(self, seconds: float) -> None:
        """Move every known time back, as if so many seconds had gone by."""
        with connection.cursor() as cursor:
            for table, columns in (
                ("notifications_delivery", ("due_at",)),
                ("notifications_lane", ("due_at",)),
                ("notifications_channel", ("due_at", "leased_until", "not_before")),
            ):
                moved = ", ".join(
                    f"{column} = {column} - make_interval(secs => %(by)s)" for column in columns
                )
                cursor.execute(f"UPDATE {table} SET {moved}", {"by": seconds})
        for each in self.workers:
            for lease in each.leases.values():
                lease.safe_until -= seconds
                if lease.safe_until < time.monotonic():
                    self.ended.add((lease.channel_id, lease.epoch))

    def check(self) -> None:
        """Check all that must hold at any time."""
        found = invariants.violations(subscriptions=self.subscriptions)
        invariants.nothing_is_lost(found)
        invariants.no_channel_sleeps_over_work(found)
        invariants.lanes_have_no_gaps(found)
        invariants.lanes_follow_the_order_of_commit(found)
        invariants.no_event_is_quarantined(found)
        invariants.each_event_became_its_deliveries(found)
        invariants.what_a_live_worker_holds_is_on_record(
            lease for each in self.workers for lease in each.leases.values() if not self._is_over(lease)
        )

    def drain(self) -> None:
        """Let everybody vanish, and a perfect worker do all that is left; then nothing waits that is not held."""
        for number in range(len(self.workers)):
            self.crash(number)
        worker.resume()
        perfect = self.workers[0]
        while worker.fan_out():
            pass
        for _ in range(DRAIN_STEPS):
            perfect.lease(64)
            perfect.fetch(room=8)
            for run in perfect.running:
                while not run.is_ended:
                    self.send(perfect, run, ACCEPTED)
            self.settle(perfect)
            perfect.release()
            if not perfect.leases:
                if not Channel.objects.exclude(due_at=None).exists():
                    break
                self.pass_time(LONG)
        else:
            raise AssertionError(f"still at work after {DRAIN_STEPS} rounds")
        self.check()
        waiting = Delivery.objects.filter(status__in=["pending", "retrying"])
        assert not waiting.exclude(lane__blocked_by__status="held").exists(), list(waiting.values())
        self.the_log_explains_every_arrival()

    def the_log_explains_every_arrival(self) -> None:
        """Each has an attempt of its own; each that came after an accepted one has its reason.

        That is an attempt whose end nobody knows, unknown or crashed; or the one before was refused.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT delivery_id, count(*),
                     count(*) FILTER (WHERE verdict IN ('unknown', 'crashed') AND NOT is_fenced)
                   FROM notifications_attempt GROUP BY 1"""
            )
            logged = {pk: (attempts, reasons) for pk, attempts, reasons in cursor.fetchall()}
        for delivery in {each.delivery for each in self.arrivals}:
            arrived = [each for each in self.arrivals if each.delivery == delivery]
            accepted = [number for number, each in enumerate(arrived) if each.was_accepted]
            again = arrived[accepted[0] + 1 :] if accepted else []
            attempts, reasons = logged.get(delivery, (0, 0))
            reasons += sum(each.calls_for_another for each in again[:-1])
            assert (len(arrived) <= attempts, len(again) <= reasons) == (True, True), delivery
