"""The threads that send: as many as waiting takes, no more; and what a hanging endpoint costs the others."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.publish import Draft, publish_many
from notifications import claim, fetch
from notifications.books import Books
from notifications.clerk import Clerk
from notifications.destinations import Sender
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.holdings import Holdings
from notifications.models import Channel, Circuit, Delivery
from notifications.pace import Pace
from notifications.runners import Registration
from notifications.sending import MOST, Ended, Item, Run, Sent, Threads
from notifications.transports.base import Message, Outcome, Transport, Verdict
from tests.claimed import items
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.workers import Gauge, until, working


class Gate(Transport):
    """A receiver that answers once it is let: every send waits for `open`."""

    def __init__(self, verdict=Verdict.DELIVERED):
        self.open = threading.Event()
        self.verdict = verdict
        self.entered = 0
        self._lock = threading.Lock()

    def send(self, message):
        with self._lock:
            self.entered += 1
        self.open.wait(30)
        return Outcome(verdict=self.verdict, started_at=timezone.now(), duration=timedelta(seconds=1))


class Broken(Transport):
    def send(self, message):
        raise ValueError("a bug")


def lease(**fields):
    values = {
        "channel_id": 1, "circuit_id": 1, "endpoint_id": 1, "profile_id": None, "shard": 0, "epoch": 1,
        "safe_until": time.monotonic() + 1_000,
    }  # fmt: skip
    return claim.Lease(**(values | fields))


def run_of(transport, count=1, *, pace=None, of=None, timeout=15.0):
    sender = Sender(transport=transport, max_in_flight=8, rate_per_minute=None, timeout=timeout)
    items = tuple(
        Item(claimed=None, message=Message(id=f"dlv_{number}", body=""), notification=None)
        for number in range(count)
    )
    return Run(lease=of or lease(), sender=sender, pace=pace or Pace(), items=items)


@pytest.fixture
def threads():
    pool = Threads(4, on_report=lambda: None)
    gates = []
    pool.gates = gates
    yield pool
    for gate in gates:
        gate.open.set()
    pool.close()


def sending_threads() -> int:
    return sum(1 for thread in threading.enumerate() if thread.name == "send" and thread.is_alive())


def alive(pool) -> int:
    return sum(1 for thread in pool._threads if thread.is_alive())


def tended_until(pool, holds, seconds=20.0) -> bool:
    def tend_and_look():
        pool.tend()
        return holds()

    return until(tend_and_look, seconds)


def test_what_waits_is_replaced_by_another_thread_and_what_is_left_over_ends(threads):
    gate = Gate()
    threads.gates.append(gate)
    for _ in range(10):
        threads.submit(run_of(gate))
    assert alive(threads) == 4

    assert tended_until(threads, lambda: gate.entered == 10)
    assert tended_until(threads, lambda: alive(threads) <= 14)
    # Nothing more waits for a thread: none is added.
    grown = len(threads._threads)
    time.sleep(0.2)
    threads.tend()
    assert len(threads._threads) == grown <= 14

    gate.open.set()
    assert tended_until(threads, lambda: len(threads._threads) == 4)
    assert sum(isinstance(one, Sent) for one in threads.reports()) == 10


def test_there_are_never_more_threads_than_the_most(threads):
    gate = Gate()
    threads.gates.append(gate)
    for _ in range(MOST + 40):
        threads.submit(run_of(gate))

    assert tended_until(threads, lambda: gate.entered == MOST, 60)
    time.sleep(0.3)
    threads.tend()

    assert (gate.entered, len(threads._threads)) == (MOST, MOST)
    gate.open.set()
    assert tended_until(threads, lambda: gate.entered == MOST + 40)


def test_runs_bounce_untried_where_an_answer_is_waited_for(threads):
    gate, pace = Gate(), Pace(limit=8, is_proven=True)
    threads.gates.append(gate)
    threads.submit(run_of(gate, 3, pace=pace))
    assert tended_until(threads, lambda: pace.is_stalled)

    threads.submit(run_of(gate, 5, pace=pace))

    reports = []
    assert until(lambda: reports.extend(threads.reports()) or reports)
    [ended] = reports
    assert isinstance(ended, Ended)
    assert len(ended.untried) == 5
    assert gate.entered == 1


def test_a_failure_ends_its_run_and_the_rest_of_it_goes_back(threads):
    gate = Gate(Verdict.RETRY)
    gate.open.set()
    threads.submit(run_of(gate, 5))

    reports = []
    assert until(lambda: reports.extend(threads.reports()) or len(reports) == 2)
    sent, ended = reports
    assert (sent.outcome.verdict, len(ended.untried), gate.entered) == (Verdict.RETRY, 4, 1)


@pytest.mark.parametrize("fields", [{"is_lost": True}, {"is_paused": True}, {"safe_until": 0.0}])
def test_nothing_is_sent_under_a_lease_that_is_over_or_too_short(threads, fields):
    gate = Gate()
    gate.open.set()
    threads.submit(run_of(gate, 2, of=lease(**fields)))

    reports = []
    assert until(lambda: reports.extend(threads.reports()) or reports)
    assert ([len(one.untried) for one in reports], gate.entered) == ([2], 0)


def test_a_bug_of_a_transport_is_a_failure_and_its_thread_lives_on(threads):
    for _ in range(9):
        threads.submit(run_of(Broken()))

    reports = []
    assert until(lambda: reports.extend(threads.reports()) or len(reports) == 18)
    assert {one.outcome.error_class for one in reports if isinstance(one, Sent)} == {"bug"}
    assert alive(threads) == 4


class Fails(Transport):
    """A receiver that takes so many and then no more; `meanwhile` is called before each answer."""

    def __init__(self, good, meanwhile=lambda: None):
        self.left = good
        self.meanwhile = meanwhile
        self.tried = []

    def send(self, message):
        self.tried.append(message.id)
        self.meanwhile()
        self.left -= 1
        verdict = Verdict.DELIVERED if self.left >= 0 else Verdict.RETRY
        return Outcome(verdict=verdict, started_at=timezone.now(), duration=timedelta(milliseconds=1))


def lined_up(threads, transport, *, runs):
    """Books with a run of two under way, and others of two that wait for their turn."""
    held = lease()
    books = Books("me:1", threads=threads, clerk=Clerk(on_report=lambda: None), leases={1: held})
    pace = Pace(limit=1, is_proven=True)
    sender = Sender(transport=transport, max_in_flight=8, rate_per_minute=None, timeout=15.0)
    made = [
        Run(lease=held, sender=sender, pace=pace, items=tuple(items(None, number, number + 1)))
        for number in range(1, 2 * runs, 2)
    ]
    books.enter(made[0])
    for run in made[1:]:
        books.line_up(run)
    return books, held, pace


def test_a_run_that_went_well_is_followed_by_the_next_while_nobody_looks(threads):
    gate = threading.Event()
    transport = Fails(good=100, meanwhile=lambda: gate.wait(30))
    books, held, pace = lined_up(threads, transport, runs=4)
    assert (books.under_way, held.runs, pace.under_way) == (4, 1, 1)
    gate.set()

    assert until(lambda: len(transport.tried) == 8)
    assert transport.tried == [str(number) for number in range(1, 9)]
    assert until(lambda: books.collect() or not books.under_way)
    assert (held.runs, pace.under_way, len(held.followers)) == (0, 0, 0)


def test_what_was_lined_up_goes_back_untried_once_one_has_failed(threads):
    gate = threading.Event()
    transport = Fails(good=3, meanwhile=lambda: gate.wait(30))
    books, held, pace = lined_up(threads, transport, runs=4)
    gate.set()

    assert until(lambda: books.collect() or not books.under_way)
    assert transport.tried == ["1", "2", "3", "4"]
    assert [claimed.id for claimed in books._batch.untried] == [5, 6, 7, 8]
    assert (held.runs, pace.under_way, len(held.followers)) == (0, 0, 0)


def test_what_was_lined_up_goes_back_while_an_answer_is_waited_for(threads):
    gate = threading.Event()
    books, held, pace = lined_up(threads, Fails(good=100, meanwhile=lambda: gate.wait(30)), runs=3)
    pace.is_stalled = True

    books.collect()

    assert [claimed.id for claimed in books._batch.untried] == [3, 4, 5, 6]
    assert (books.under_way, held.runs, len(held.followers)) == (1, 1, 0)
    gate.set()


def test_few_due_channels_are_shared_among_the_workers_that_live(catalog):
    queue = QueueFactory(is_ordered=False)
    for _ in range(3):
        WebhookSubscriptionFactory(queue=queue)
    publish(catalog, 10)
    Registration().beat()
    Registration().beat()
    assert Channel.objects.filter(due_at__isnull=False).count() == 6

    assert len(claim.lease("me:1", limit=8)) == 3
    assert len(claim.lease("me:2", limit=8)) == 2
    assert [len(claim.lease("me:2", limit=8)) for _ in range(2)] == [1, 0]


def test_closing_ends_every_thread_once_its_send_is_over():
    before = sending_threads()
    pool, gate = Threads(4, on_report=lambda: None), Gate()
    for _ in range(12):
        pool.submit(run_of(gate, 2))
    assert tended_until(pool, lambda: gate.entered == 12)

    pool.stop()
    gate.open.set()
    pool.close()

    assert sending_threads() == before
    reports = list(pool.reports())
    assert sum(isinstance(one, Sent) for one in reports) == 12
    assert sum(len(one.untried) for one in reports if isinstance(one, Ended)) == 12


def publish(catalog, count: int) -> None:
    sample = catalog["invoice.posted"].sample
    publish_many([Draft(type="invoice.posted", data=sample) for _ in range(count)])
    fan_out()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [1, 3, 5])
def test_two_workers_and_both_channels_keep_to_the_limit_together(catalog, https_receiver, limit):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), endpoint__max_in_flight=limit)
    publish(catalog, 150)
    https_receiver.script = gauge = Gauge(seconds=0.02)

    with working(2):
        assert until(lambda: Delivery.objects.filter(status="delivered").count() == 150, 60)

    assert gauge.most <= limit
    assert https_receiver.count == 150


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_threads_all_have_work_goes_on_to_look_for_other_destinations(
    catalog, https_receiver, settings
):
    settings.DELIVERY_THREADS = 2
    queue = QueueFactory(is_ordered=False)
    WebhookSubscriptionFactory(queue=queue)
    publish(catalog, 600)
    https_receiver.script = Gauge(seconds=0.1)
    with working():
        assert until(lambda: https_receiver.count > 20)
        other = WebhookSubscriptionFactory(queue=queue)
        publish(catalog, 1)

        assert until(lambda: Delivery.objects.filter(subscription=other, status="delivered").exists())

        assert Delivery.objects.filter(status="pending").count() > 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_worker_that_has_enough_to_do_gives_half_of_its_channels_to_one_that_has_nothing(
    catalog, https_receiver, settings, is_ordered
):
    settings.DELIVERY_THREADS = 2
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered))
    sample = catalog["invoice.posted"].sample
    publish_many(
        [Draft(type="invoice.posted", data=sample, ordering_key=str(number)) for number in range(400)]
    )
    fan_out()
    https_receiver.script = Gauge(seconds=0.05)

    def owners() -> set[str]:
        return set(Channel.objects.exclude(owner="").values_list("owner", flat=True))

    with working():
        assert until(lambda: https_receiver.count > 20)
        assert (len(owners()), Channel.objects.exclude(owner="").count()) == (1, 2)
        with working():
            assert until(lambda: len(owners()) == 2)
            assert Delivery.objects.filter(status="pending").count() > 100
            assert until(lambda: not Delivery.objects.exclude(status="delivered").exists(), 60)

    assert https_receiver.count == 400


@pytest.mark.django_db(transaction=True)
def test_what_was_taken_of_a_lane_is_not_taken_again_before_it_is_settled(catalog):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=True))
    publish(catalog, 5)
    leases = claim.lease("me:1", limit=16)
    for held in leases:
        held.room = 4

    taken = fetch.fetch(leases, alone=False).claimed
    for one in taken:  # no run has them, as with what could not be put into words in time
        next(held for held in leases if held.channel_id == one.channel_id).busy[one.id] = one.lane_id
    again = fetch.fetch(leases, alone=False).claimed

    assert (len(taken), again) == (5, [])


@pytest.mark.django_db(transaction=True)
def test_with_a_limit_of_one_neither_channel_starves_the_other(catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), endpoint__max_in_flight=1)
    publish(catalog, 300)
    channels = list(Channel.objects.order_by("shard"))
    Delivery.objects.update(channel=channels[0])
    few = list(Delivery.objects.order_by("-pk").values_list("pk", flat=True)[:2])
    Delivery.objects.filter(pk__in=few).update(channel=channels[1])
    Channel.objects.update(due_at=timezone.now())
    ids = {delivery.public_id for delivery in Delivery.objects.filter(pk__in=few)}
    https_receiver.script = gauge = Gauge(seconds=0.005)

    with working(2):
        assert until(lambda: Delivery.objects.filter(status="delivered").count() == 300, 60)

    places = [r.number for r in https_receiver.received if r.headers["webhook-id"] in ids]
    assert gauge.most == 1
    assert max(places) < 250


@pytest.mark.django_db(transaction=True)
def test_a_limit_that_is_lowered_to_one_holds_for_both_channels_of_one_look(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    publish(catalog, 60)
    with working():
        assert until(lambda: Delivery.objects.filter(status="delivered").count() == 60)
        subscription.endpoint.max_in_flight = 1
        subscription.endpoint.save()
        time.sleep(2.1)  # an edit is seen after two seconds
        https_receiver.script = gauge = Gauge(seconds=0.1)
        publish(catalog, 40)
        assert until(lambda: Delivery.objects.filter(status="delivered").count() == 100)

    assert gauge.most == 1


@pytest.mark.django_db(transaction=True)
def test_a_hanging_endpoint_costs_few_statements_while_it_hangs(catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), endpoint__timeout_seconds=3)
    publish(catalog, 50)
    https_receiver.script = Gauge(seconds=2.5)

    with CaptureQueriesContext(connection) as queries:
        Engine(budget=2).run()

    # Leasing ten times a second, a look for events each second, what one send takes, and a heartbeat.
    assert https_receiver.count == 1
    assert len(queries) < 80


@pytest.mark.django_db(transaction=True)
def test_healthy_endpoints_are_served_while_most_others_hang(catalog, https_receiver):
    queue = QueueFactory(is_ordered=False)
    for number in range(20):
        WebhookSubscriptionFactory(
            queue=queue,
            endpoint__path=f"/{'sound' if number >= 18 else 'hangs'}/{number}",
            endpoint__timeout_seconds=3,
        )
    publish(catalog, 30)
    over = threading.Event()

    def answer(request):
        if request.path.startswith("/hangs"):
            over.wait(20)
        return 204, {}, b""

    https_receiver.script = answer
    sound = Delivery.objects.filter(subscription__endpoint__path__startswith="/sound", status="delivered")
    with working():
        assert until(lambda: sound.count() == 60)
        # Not one of the hanging ones had to end for that: each has tried once at most.
        tries = [r for r in https_receiver.received if r.path.startswith("/hangs")]
        over.set()

    assert len(tries) <= 18
    assert Circuit.objects.filter(opened_at=None).count() == 20


@pytest.mark.django_db(transaction=True)
def test_locking_single_channels_keeps_the_order_of_ids(catalog):
    """Two circuits' channels interleave with another's: whoever locks all of them meets no deadlock."""
    queue = QueueFactory(is_ordered=False)
    many = WebhookSubscriptionFactory(queue=queue)
    single = WebhookSubscriptionFactory(queue=queue)
    publish(catalog, 10)
    leases = claim.lease("me:1", limit=8)
    for one in leases:
        one.room, one.is_single = 2, one.endpoint_id == single.endpoint.pk
    assert {one.endpoint_id for one in leases} == {many.endpoint.pk, single.endpoint.pk}
    first, last = sorted(one.channel_id for one in leases)[0], sorted(one.channel_id for one in leases)[-1]
    faults = deadlocks(first, last, lambda: fetch.fetch(leases, alone=False))

    assert faults == []


def deadlocks(first: int, last: int, job) -> list[Exception]:
    """Hold the first row, let the job come as far as it gets, then ask for the last one."""
    faults: list[Exception] = []

    def work():
        try:
            job()
        except Exception as fault:
            faults.append(fault)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    with transaction.atomic():
        Channel.objects.select_for_update().get(pk=first)
        thread.start()
        time.sleep(0.5)
        try:
            Channel.objects.select_for_update().get(pk=last)
        except Exception as fault:
            faults.append(fault)
            transaction.set_rollback(True)
    thread.join()
    return faults


def test_first_contacts_find_threads_beside_many_that_were_fast_and_hang(threads):
    assert threads.careful_slots() == 148
    assert threads.careful_slots(stalled=180) == 40
    assert threads.careful_slots(stalled=244) == 4, "as many as are kept for young sends"
    assert threads.careful_slots(stalled=MOST) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("hang", "taken"), [(180, 2), (MOST, 1)])
def test_first_contacts_get_a_share_of_what_those_leave_that_were_fast_and_hang(catalog, hang, taken):
    WebhookSubscriptionFactory.create_batch(2)
    publish_many([Draft(type="invoice.posted", data={"account": {"id": "1"}, "invoice": {"id": "1"}})])
    fan_out()
    holdings = Holdings("test", on_report=lambda: None)
    try:
        for number in range(hang):
            hanging = holdings._paces.of((1_000_000 + number, None))
            hanging.is_proven = hanging.is_stalled = True
            hanging.under_way = 1
        assert holdings.take() == taken
    finally:
        holdings.stop()
        holdings.close()
