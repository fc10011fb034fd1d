"""Circuits in the database: who probes, what a probe costs, and what follows from its answer."""

import json
import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.publish import Draft, publish_many
from notifications import circuits, claim, fetch, operate
from notifications.books import FLUSH_AFTER, Books
from notifications.breaker import Answer
from notifications.clerk import Clerk
from notifications.destinations import Directory, Sender
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Attempt, Channel, Circuit, Delivery, Endpoint, Lane
from notifications.pace import Pace
from notifications.pause import pause
from notifications.sending import Item, Run, Threads
from notifications.transports.base import Message, Outcome, Transport, Verdict
from tests.factories import QueueFactory, UserFactory, WebhookSubscriptionFactory
from tests.workers import Gauge, together, until, working

pytestmark = pytest.mark.django_db(transaction=True)

CAREFUL = circuits.Careful(slots=56, deadline=15.0)


def run() -> int:
    return Engine(until_idle=True).run()


def publish(catalog, count: int, *, account: str = "1001") -> None:
    sample = catalog["invoice.posted"].sample
    drafts = [
        Draft(
            type="invoice.posted", data=sample | {"account": {"id": account}, "invoice": {"id": str(number)}}
        )
        for number in range(1, count + 1)
    ]
    publish_many(drafts)
    fan_out()


def subscribed(catalog, count: int = 0, *, is_ordered: bool = False, **fields):
    """A webhook subscription with so many deliveries that wait."""
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered), **fields)
    publish(catalog, count)
    if not is_ordered:
        spread(subscription)
    return subscription


def spread(subscription) -> None:
    """Put every other delivery on the other channel, as their numbers happen to do with many."""
    channels = list(Channel.objects.filter(endpoint=subscription.endpoint).order_by("shard"))
    for number, delivery in enumerate(Delivery.objects.order_by("pk")):
        Delivery.objects.filter(pk=delivery.pk).update(channel=channels[number % 2])
    if Delivery.objects.exists():
        Channel.objects.filter(pk__in=[channel.pk for channel in channels]).update(due_at=timezone.now())


def set_circuit(subscription, **fields):
    circuit = subscription.endpoint.circuit
    Circuit.objects.filter(pk=circuit.pk).update(**fields)
    circuit.refresh_from_db()
    return circuit


def opened(subscription, *, probe_in=0.0, **fields):
    """Open the circuit as failures would have done, with its next probe in so many seconds."""
    now = timezone.now()
    at = now + timedelta(seconds=probe_in)
    Channel.objects.filter(endpoint=subscription.endpoint).update(not_before=at, rest_cause="open")
    Channel.objects.filter(endpoint=subscription.endpoint, due_at__isnull=False).update(due_at=at)
    values = {
        "failures": 5, "failed_deliveries": 5, "failing_since": now, "opened_at": now, "probe_at": at,
    }  # fmt: skip
    return set_circuit(subscription, **(values | fields))


def ready_to_probe(circuit: Circuit) -> None:
    """Let the pause of an open circuit be over."""
    now = timezone.now()
    Circuit.objects.filter(pk=circuit.pk).update(probe_at=now)
    Channel.objects.filter(circuit=circuit).update(not_before=now)
    Channel.objects.filter(circuit=circuit, due_at__isnull=False).update(due_at=now)


def seconds_until(moment):
    return (moment - timezone.now()).total_seconds()


def lease_all(owner: str = "me:1") -> list[claim.Lease]:
    return claim.lease(owner, limit=16)


def test_five_failures_of_two_deliveries_open_the_circuit_and_nothing_more_is_sent(catalog, https_receiver):
    subscription = subscribed(catalog, 20)
    https_receiver.script = lambda r: (500, {}, b"")

    run()

    circuit = subscription.endpoint.circuit
    circuit.refresh_from_db()
    assert (https_receiver.count, circuit.failures, circuit.probes) == (5, 5, 0)
    assert circuit.opened_at is not None
    assert 3 < seconds_until(circuit.probe_at) < 5.1
    for channel in Channel.objects.filter(circuit=circuit):
        assert (channel.rest_cause, channel.not_before) == ("open", circuit.probe_at)


def test_one_delivery_that_fails_alone_opens_nothing(catalog, https_receiver):
    subscription = subscribed(catalog, 1, retry_seconds=[0] * 9)
    https_receiver.script = lambda r: (500, {}, b"")

    assert run() == 10

    circuit = set_circuit(subscription)
    assert (circuit.failures, circuit.failed_deliveries, circuit.opened_at) == (10, 1, None)
    assert Delivery.objects.get().status == "dead"


def test_faults_of_the_messages_open_nothing(catalog, https_receiver):
    subscription = subscribed(catalog, 10)
    https_receiver.script = lambda r: (400, {}, b"")

    assert run() == 10

    assert set_circuit(subscription).failures == 0


def test_a_healthy_destination_writes_nothing_into_its_circuit(catalog, https_receiver):
    subscription = subscribed(catalog, 100)
    circuit = subscription.endpoint.circuit

    def version():
        with connection.cursor() as cursor:
            cursor.execute("SELECT xmin, ctid FROM notifications_circuit WHERE id = %s", [circuit.pk])
            return cursor.fetchone()

    before = version()
    with CaptureQueriesContext(connection) as queries:
        assert run() == 100

    assert version() == before
    assert [query for query in queries if "UPDATE notifications_circuit" in (query["sql"] or "")] == []


def test_a_success_of_an_ailing_destination_resets_it(catalog, https_receiver):
    subscription = subscribed(catalog, 3)
    set_circuit(subscription, failures=4, failed_deliveries=2, timeouts=1, failing_since=timezone.now())

    assert run() == 3

    circuit = set_circuit(subscription)
    assert (circuit.failures, circuit.timeouts, circuit.failing_since, circuit.closed_at) == (
        0,
        0,
        None,
        None,
    )


def test_a_failed_probe_spends_no_attempt_and_doubles_the_pause(catalog, https_receiver):
    subscription = subscribed(catalog, 4)
    circuit = opened(subscription)
    https_receiver.script = lambda r: (500, {}, b"")

    for number, seconds in enumerate([10, 20, 40, 80, 160, 300, 300], 1):
        assert run() == 1
        circuit.refresh_from_db()
        assert (https_receiver.count, circuit.probes) == (number, number)
        assert seconds - 2 < seconds_until(circuit.probe_at) <= seconds
        ready_to_probe(circuit)

    assert set(Delivery.objects.values_list("attempt_count", flat=True)) == {0}
    assert [a.verdict for d in Delivery.objects.all() for a in d.attempts.all()] == ["retry"] * 7


def test_a_success_closes_it_and_all_that_waits_goes_out_in_order(catalog, https_receiver):
    subscription = subscribed(catalog, 12, is_ordered=True)
    circuit = opened(subscription)
    Lane.objects.update(due_at=timezone.now() + timedelta(hours=5))
    Delivery.objects.filter(sequence=1).update(
        status="retrying", attempt_count=5, due_at=timezone.now() + timedelta(hours=5)
    )
    operate.retry([Delivery.objects.get(sequence=1).pk], UserFactory())

    assert run() == 12

    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == list(range(1, 13))
    circuit.refresh_from_db()
    assert (circuit.opened_at, circuit.probe_at, circuit.failures) == (None, None, 0)
    assert circuit.closed_at is not None
    assert set(Channel.objects.values_list("rest_cause", "not_before")) == {("", None)}


def test_a_success_makes_due_what_waits_for_a_late_step_of_its_schedule(catalog, https_receiver):
    subscription = subscribed(catalog, 10)
    opened(subscription)
    _, *others = Delivery.objects.order_by("pk").values_list("pk", flat=True)
    Delivery.objects.filter(pk__in=others).update(
        status="retrying", attempt_count=7, due_at=timezone.now() + timedelta(hours=10)
    )

    assert run() == 10

    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}


def test_a_circuit_that_just_closed_gets_one_at_a_time_from_every_worker(catalog, https_receiver):
    subscription = subscribed(catalog, 40)
    set_circuit(subscription, closed_at=timezone.now() + timedelta(minutes=1))
    https_receiver.script = gauge = Gauge(seconds=0.01)

    with working(2):
        assert until(lambda: Delivery.objects.filter(status="delivered").count() == 40)

    assert gauge.most == 1


def test_the_first_look_at_a_channel_knows_that_its_circuit_just_closed(catalog):
    subscription = subscribed(catalog, 2)
    set_circuit(subscription, closed_at=timezone.now())

    assert {0 <= lease.seconds_since_closed < 5 for lease in lease_all()} == {True}


def test_one_of_several_workers_probes_while_the_circuit_is_open(catalog, https_receiver):
    subscription = subscribed(catalog, 40)
    opened(subscription)
    https_receiver.script = gauge = Gauge(seconds=1, answer=(500, {}, b""))

    with working(3):
        assert https_receiver.wait_for(1)
        assert until(lambda: set_circuit(subscription).probes == 1)

    assert (gauge.most, https_receiver.count) == (1, 1)
    assert set(Delivery.objects.values_list("attempt_count", flat=True)) == {0}


def test_one_of_two_channels_takes_the_probe_however_close_they_come(catalog):
    subscription = subscribed(catalog, 10)
    for _ in range(10):
        circuit = opened(subscription)
        leases = lease_all()
        assert len(leases) == 2

        together(*[lambda lease=lease: circuits.take_probes([lease]) for lease in leases])

        assert sorted(lease.probes for lease in leases) == [False, True]
        assert sorted(lease.is_paused for lease in leases) == [False, True]
        for lease in leases:
            lease.room = 4
        found = together(*[lambda lease=lease: fetch.fetch([lease], alone=False) for lease in leases])
        claimed = [one.channel_id for work in found for one in work.claimed]
        assert set(claimed) == {lease.channel_id for lease in leases if lease.probes}
        claim.release(leases)
        ready_to_probe(circuit)


def test_a_probe_whose_worker_died_is_given_up_after_25_seconds(catalog):
    subscription = subscribed(catalog, 10)
    circuit = opened(subscription)
    prober, other = lease_all("dead:1")
    circuits.take_probes([prober])
    circuits.take_probes([other])
    circuit.refresh_from_db()
    assert (prober.probes, other.probes) == (True, False)
    assert 23 < seconds_until(circuit.probe_at) <= 25

    Circuit.objects.update(probe_at=F("probe_at") - timedelta(seconds=25))
    circuits.take_probes([other])

    assert other.probes


def test_whoever_may_not_probe_yet_rests_until_the_next_probe(catalog):
    subscription = subscribed(catalog, 10)
    circuit = opened(subscription, probe_in=100)
    past = timezone.now() - timedelta(seconds=1)
    Channel.objects.update(not_before=past, due_at=past)
    leases = lease_all()

    for lease in leases:
        circuits.take_probes([lease])
    claim.release(leases)

    assert set(Channel.objects.values_list("due_at", "not_before")) == {(circuit.probe_at,) * 2}


@pytest.mark.parametrize("status", [400, 422])
def test_a_probe_whose_message_is_refused_closes_the_circuit_and_spends_its_attempt(
    catalog, https_receiver, status
):
    subscription = subscribed(catalog, 1, is_ordered=True, retry_seconds=[3600])
    opened(subscription)
    https_receiver.script = lambda r: (status, {}, b"")

    # Closed, all that waits is due, and so its second try is too, which is its last.
    assert run() == 2

    assert set_circuit(subscription).opened_at is None
    assert Delivery.objects.values_list("status", "hold_cause", "attempt_count").get() == (
        "held",
        "exhausted",
        2,
    )


def test_a_probe_that_is_asked_to_wait_counts_as_failed_and_waits(catalog, https_receiver):
    subscription = subscribed(catalog, 3)
    opened(subscription)
    https_receiver.script = lambda r: (503, {"Retry-After": "600"}, b"")

    assert run() == 1

    circuit = set_circuit(subscription)
    assert circuit.probes == 1
    for channel in Channel.objects.all():
        assert channel.rest_cause == "asked"
        assert 595 < seconds_until(channel.not_before) <= 600


def test_a_probe_that_finds_nothing_lets_the_other_channel_probe_at_once(catalog, https_receiver):
    subscription = subscribed(catalog, 2)
    opened(subscription)
    first = Delivery.objects.order_by("pk").first()
    Delivery.objects.filter(pk=first.pk).update(due_at=timezone.now() + timedelta(hours=1))

    assert run() == 2

    assert set_circuit(subscription).opened_at is None


def test_two_channels_without_anything_due_do_not_pass_the_probe_to_and_fro(catalog, https_receiver):
    subscription = subscribed(catalog, 2)
    circuit = opened(subscription)
    Delivery.objects.update(due_at=timezone.now() + timedelta(hours=1))
    https_receiver.script = lambda r: (500, {}, b"")

    with CaptureQueriesContext(connection) as queries:
        Engine(budget=3).run()

    circuit.refresh_from_db()
    assert (https_receiver.count, circuit.probes) == (1, 1)
    assert len(queries) < 150


def test_an_open_circuit_without_any_delivery_is_at_rest_and_closes_with_the_next(catalog, https_receiver):
    subscription = subscribed(catalog, 2)
    opened(subscription)
    operate.cancel(list(Delivery.objects.values_list("pk", flat=True)), UserFactory())

    assert run() == 0
    assert set(Channel.objects.values_list("due_at", flat=True)) == {None}

    publish(catalog, 3)
    assert run() == 3
    assert set_circuit(subscription).opened_at is None


def test_deliveries_of_a_paused_subscription_do_not_use_up_the_probe(catalog, https_receiver):
    paused = subscribed(catalog)
    sound = WebhookSubscriptionFactory(queue=paused.queue, endpoint=paused.endpoint)
    publish(catalog, 12)
    paused.is_paused = True
    paused.save()
    opened(paused)
    sound.deliveries.update(due_at=timezone.now() - timedelta(seconds=1))
    paused.deliveries.update(due_at=timezone.now() - timedelta(minutes=1))

    assert until_idle_within(20) == 12

    assert set(paused.deliveries.values_list("status", "hold_cause")) == {("held", "paused")}
    assert set(sound.deliveries.values_list("status", flat=True)) == {"delivered"}


def until_idle_within(seconds: float) -> int:
    return Engine(budget=seconds, until_idle=True).run()


def test_editing_an_endpoint_probes_it_at_once(catalog, https_receiver):
    subscription = subscribed(catalog, 5)
    opened(subscription, probe_in=300, probes=6)
    subscription.endpoint.path = "/mended"
    subscription.endpoint.save()

    assert run() == 5

    assert {r.path for r in https_receiver.received} == {"/mended"}
    assert set_circuit(subscription).opened_at is None


def test_after_five_days_it_is_disabled_with_the_reason_and_keeps_its_deliveries(catalog, https_receiver):
    subscription = subscribed(catalog, 5)
    ago = timezone.now() - timedelta(days=5)
    opened(subscription, failing_since=ago, opened_at=ago, probes=99, timeouts=7)
    https_receiver.script = lambda r: (503, {}, b"")

    assert run() == 1

    endpoint = subscription.endpoint
    endpoint.refresh_from_db()
    assert endpoint.paused_reason.startswith(
        f"Disabled: everything has failed since {ago:%Y-%m-%d %H:%M} UTC. "
    )
    assert "503" in endpoint.paused_reason
    assert Delivery.objects.filter(status__in=["pending", "retrying"], attempt_count=0).count() == 5
    assert set(Channel.objects.values_list("is_paused", flat=True)) == {True}
    publish(catalog, 1)
    assert run() == 0

    https_receiver.script = lambda r: (204, {}, b"")
    endpoint.paused_reason = ""
    endpoint.save()
    circuit = set_circuit(subscription)
    assert (circuit.failures, circuit.opened_at, circuit.probes, circuit.failing_since, circuit.timeouts) == (
        0, None, 0, None, 0
    )  # fmt: skip
    assert circuit.closed_at is not None
    assert run() == 6


def test_a_second_time_out_in_a_row_rests_the_endpoint(catalog):
    subscription = subscribed(catalog, 2)
    [lease, _] = lease_all()
    until_at = []
    for _ in range(3):
        answer = Answer(delivery_id=1, is_good=False, timed_out=True)
        circuits.record({lease.circuit_id: [answer]}, {lease.circuit_id: lease}, CAREFUL)
        until_at.append(Channel.objects.values_list("rest_cause", "not_before").first())

    assert until_at[0] == ("", None)
    assert [cause for cause, _ in until_at[1:]] == ["hanging", "hanging"]
    assert [round(seconds_until(at)) for _, at in until_at[1:]] == [5, 10]
    assert set_circuit(subscription).timeouts == 3


def test_the_more_receivers_hang_the_longer_each_rests(catalog):
    """With 20 that hang for 15 s and 10 slots, each has to come only every 30 s, half of which it hangs."""
    queue = QueueFactory(is_ordered=False)
    for _ in range(20):
        WebhookSubscriptionFactory(queue=queue)
    publish(catalog, 1)
    Circuit.objects.update(timeouts=1)
    lease = lease_all()[0]
    answer = Answer(delivery_id=1, is_good=False, timed_out=True)

    circuits.record(
        {lease.circuit_id: [answer]}, {lease.circuit_id: lease}, circuits.Careful(slots=10, deadline=15.0)
    )

    channel = Channel.objects.get(pk=lease.channel_id)
    assert (channel.rest_cause, round(seconds_until(channel.not_before))) == ("hanging", 15)


def test_paused_and_idle_receivers_are_no_part_of_the_crowd(catalog):
    queue = QueueFactory(is_ordered=False)
    subscriptions = [WebhookSubscriptionFactory(queue=queue) for _ in range(20)]
    publish(catalog, 1)
    Circuit.objects.update(timeouts=1)
    for subscription in subscriptions[1:11]:
        subscription.endpoint.is_active = False
        subscription.endpoint.save()
    idle = [subscription.endpoint.pk for subscription in subscriptions[11:]]
    Channel.objects.filter(endpoint__in=idle).update(due_at=None)
    [lease] = lease_all()
    answer = Answer(delivery_id=1, is_good=False, timed_out=True)

    circuits.record(
        {lease.circuit_id: [answer]}, {lease.circuit_id: lease}, circuits.Careful(slots=10, deadline=15.0)
    )

    channel = Channel.objects.get(pk=lease.channel_id)
    assert round(seconds_until(channel.not_before)) == 5


def test_a_worker_that_lost_its_lease_changes_no_circuit(catalog):
    subscription = subscribed(catalog, 2)
    [lease, _] = lease_all()
    Channel.objects.filter(pk=lease.channel_id).update(epoch=F("epoch") + 1)
    answers = [Answer(delivery_id=number, is_good=False) for number in range(9)]

    assert circuits.record({lease.circuit_id: answers}, {lease.circuit_id: lease}, CAREFUL) == {}

    assert set_circuit(subscription).failures == 0


def test_a_worker_whose_lease_ran_out_takes_no_probe_and_gives_none_back(catalog):
    subscription = subscribed(catalog, 2)
    circuit = opened(subscription)
    leases = lease_all()
    Channel.objects.exclude(owner="").update(leased_until=timezone.now())

    circuits.take_probes(leases[:1])
    circuits.give_back_probe(leases[1])

    assert leases[0].is_lost
    assert set_circuit(subscription).probe_at == circuit.probe_at


def test_a_channel_that_is_given_back_while_a_probe_is_offered_on_it_stays_due(catalog):
    """The release waits for the row while the circuit opens; it must not go by what it saw before."""
    subscription = subscribed(catalog, 2)
    Delivery.objects.update(due_at=timezone.now() + timedelta(hours=1), status="retrying")
    first = Delivery.objects.order_by("pk").first()
    Delivery.objects.exclude(pk=first.pk).update(due_at=timezone.now() + timedelta(hours=2))
    released, reporter = lease_all()
    for lease in (released, reporter):
        lease.room = 4
        fetch.fetch([lease], alone=False)
    if first.channel_id != released.channel_id:
        released, reporter = reporter, released
    answers = [Answer(delivery_id=number, is_good=False) for number in range(5)]
    holding = open_while_released(released, reporter, answers)

    channel = Channel.objects.get(pk=released.channel_id)
    assert holding
    assert (channel.leased_until, channel.due_at) == (None, set_circuit(subscription).probe_at)


def open_while_released(released, reporter, answers) -> bool:
    """Release a channel in a second transaction that has to wait for the one that opens the circuit."""

    def release():
        claim.release([released])
        connection.close()

    thread = threading.Thread(target=release)
    with transaction.atomic():
        circuits.record({reporter.circuit_id: answers}, {reporter.circuit_id: reporter}, CAREFUL)
        thread.start()
        time.sleep(0.5)
        waited = thread.is_alive()
    thread.join()
    return waited


def test_a_pause_waits_for_whoever_edits_the_endpoint_and_both_come_through(catalog):
    """An edit locks the endpoint's row and then its channels; a pause that did it the other way would meet it."""
    subscription = subscribed(catalog, 2)
    lease = lease_all()[0]
    endpoint, faults = subscription.endpoint, []

    def disable():
        try:
            pause(lease, "Disabled.")
        except OperationalError as fault:
            faults.append(fault)
        finally:
            connection.close()

    thread = threading.Thread(target=disable)
    with transaction.atomic():
        Endpoint.objects.filter(pk=endpoint.pk).update(name="Renamed")
        thread.start()
        time.sleep(0.5)
        endpoint.name = "Renamed"
        endpoint.save()
    thread.join()

    endpoint.refresh_from_db()
    assert (faults, endpoint.paused_reason, endpoint.name) == ([], "Disabled.", "Renamed")


def test_successes_between_failures_count_though_they_were_taken_before_the_first_of_them(catalog):
    """What its last look told a lease is old: no failure was on record then."""
    subscription = subscribed(catalog, 30)
    leases = {lease.channel_id: lease for lease in lease_all()}
    for lease in leases.values():
        lease.room = 4
    claimed = fetch.fetch(leases.values(), alone=False).claimed
    notification = Directory().notifications([subscription.pk])[subscription.pk]
    threads = Threads(1, on_report=lambda: None)
    books = Books("me:1", threads=threads, clerk=Clerk(on_report=lambda: None), leases=leases)

    try:
        for number, one in enumerate(claimed[:20]):
            answers = Scripted(Verdict.DELIVERED if number % 2 else Verdict.RETRY)
            sender = Sender(transport=answers, max_in_flight=8, rate_per_minute=None, timeout=1)
            item = Item(claimed=one, message=Message(id="dlv_1", body=""), notification=notification)
            books.enter(Run(lease=leases[one.channel_id], sender=sender, pace=Pace(), items=(item,)))
            assert until(lambda: books.collect() or not books.under_way)
            books.flush(now=True)
    finally:
        threads.close()

    circuit = set_circuit(subscription)
    assert (circuit.failures, circuit.opened_at) == (0, None)


def test_a_circuit_hears_of_a_failure_when_that_is_settled(catalog):
    """The circuit that opens with it looks for a probe among what waits, and would find what was just tried."""
    subscription = subscribed(catalog, 20)
    leases = {lease.channel_id: lease for lease in lease_all()}
    for lease in leases.values():
        lease.room = 4
    claimed = iter(fetch.fetch(leases.values(), alone=False).claimed)
    notification = Directory().notifications([subscription.pk])[subscription.pk]
    threads, clerk = Threads(2, on_report=lambda: None), Clerk(on_report=lambda: None)
    books = Books("me:1", threads=threads, clerk=clerk, leases=leases)
    endless, busy = threading.Event(), threading.Event()

    def send(transport):
        one = next(claimed)
        sender = Sender(transport=transport, max_in_flight=8, rate_per_minute=None, timeout=1)
        item = Item(claimed=one, message=Message(id="dlv_1", body=""), notification=notification)
        books.enter(Run(lease=leases[one.channel_id], sender=sender, pace=Pace(), items=(item,)))

    def fail():
        before = books.under_way
        send(Scripted(Verdict.RETRY))
        assert until(lambda: books.collect() or books.under_way == before)

    try:
        send(Scripted(Verdict.DELIVERED, when=endless))
        clerk.begin(busy.wait)
        fail()
        time.sleep(2 * FLUSH_AFTER)
        books.flush()  # waits for the clerk
        fail()
        busy.set()
        assert until(lambda: Attempt.objects.count() == 1)
        clerk.begin(lambda: None).result()
        books.flush()
        subscription.endpoint.circuit.refresh_from_db()
        assert subscription.endpoint.circuit.failures == 1
    finally:
        endless.set()
        threads.close()
        clerk.close()


class Scripted(Transport):
    """Answers always the same, at once or when it may."""

    def __init__(self, verdict, when=None):
        self.verdict = verdict
        self.when = when

    def send(self, message):
        if self.when:
            self.when.wait(30)
        return Outcome(verdict=self.verdict, started_at=timezone.now(), duration=timedelta(milliseconds=1))
