"""Each mechanism is needed: with it removed, a named check fails; with it, the same scenario passes.

The concurrent ones stop real sessions at locks that the test holds, and go on once they stand there.
"""

import pytest
from django.db import transaction

from events.publish import publish
from notifications.models import Channel, Delivery

from . import invariants, worker
from .mutations import Mutation, applied, assert_each_hit_one_statement
from .sessions import Session
from .world import ACCEPTED, World

pytestmark = pytest.mark.django_db(transaction=True)


def _a_lease_runs_out_after_a_send(world, holder):
    world.publish(1, 1, 2)
    worker.fan_out()
    holder.lease(8)
    holder.fetch()
    # The head of each lane: the next holder takes one of them, alone.
    for run in holder.running:
        world.send(holder, run, ACCEPTED)
    for lease in holder.leases.values():
        world.expire(lease)


def a_lease_is_taken_over_before_its_worker_settles(world, mutations):
    first, second, _ = world.workers
    with applied(mutations):
        _a_lease_runs_out_after_a_send(world, first)
        second.lease(8)
        second.fetch()
        world.settle(first)


def a_lease_runs_out_before_its_worker_settles(world, mutations):
    first = world.workers[0]
    with applied(mutations):
        _a_lease_runs_out_after_a_send(world, first)
        world.settle(first)


def a_worker_dies_with_what_it_took(world, mutations):
    first = world.workers[0]
    with applied(mutations):
        world.publish(1, 1, 2)
        worker.fan_out()
        first.lease(8)
        first.fetch()
        world.check()
        world.crash(0)
        world.drain()


def a_worker_gives_back_what_another_has_taken_over(world, mutations):
    first, second, _ = world.workers
    with applied(mutations):
        world.publish(1)
        worker.fan_out()
        first.lease(8)
        for lease in first.leases.values():
            world.expire(lease)
            lease.is_lost = True
        second.lease(8)
        second.fetch()
        first.release()
        world.check()


def two_sequencers_read_one_inbox(world, mutations):
    world.publish(1)
    with transaction.atomic():
        list(Channel.objects.select_for_update().order_by("pk"))
        sessions = []
        for _ in range(2):
            sessions.append(Session(worker.fan_out, mutations))
            assert sessions[-1].settles() == "blocked"
    for session in sessions:
        session.end()
    world.check()


def a_second_sequencer_comes_while_the_first_stands_still(world, mutations):
    """The first event goes to the first endpoint too, whose channels the test holds; the second does not."""
    picky = Channel.objects.order_by("pk").first().endpoint.subscriptions.get()
    earlier = publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}}).event
    picky.event_types.set([earlier.type_id])
    with transaction.atomic():
        list(Channel.objects.select_for_update().filter(endpoint=picky.endpoint))
        first = Session(worker.fan_out, mutations)
        assert first.settles() == "blocked"
        Session(_publish_what_is_not_for_the_first_endpoint, []).end()
        second = Session(worker.fan_out, mutations)
        second.settles()
    first.end()
    second.end()
    assert Delivery.objects.count() == 4 + 3
    invariants.lanes_follow_the_order_of_commit(invariants.violations(subscriptions=4))


def _publish_what_is_not_for_the_first_endpoint():
    publish("invoice.overdue", {"account": {"id": "1"}, "invoice": {"id": "1"}})


def work_comes_while_a_channel_is_given_back(world, mutations):
    holder = world.workers[0]
    world.publish(1)
    worker.fan_out()
    holder.lease(8)
    holder.fetch()
    for run in holder.running:
        world.send(holder, run, ACCEPTED)
    world.settle(holder)
    holder.fetch()
    world.publish(1)
    with transaction.atomic():
        worker.fan_out()
        session = Session(holder.release, mutations)
        assert session.settles() == "blocked"
    session.end()
    world.check()


def a_delivery_is_cancelled_while_it_is_fetched(world, mutations):
    holder = world.workers[0]
    world.publish(1)
    worker.fan_out()
    holder.lease(8)
    with transaction.atomic():
        for delivery in Delivery.objects.all():
            worker.cancel(delivery.pk)
        session = Session(holder.fetch, mutations)
        assert session.settles() == "blocked"
    session.end()
    for run in holder.running:
        world.send(holder, run, ACCEPTED)
    world.settle(holder)
    world.check()


_NO_EPOCH = ("ON h.id = c.id AND h.epoch = c.epoch", "ON h.id = c.id")
_NO_LOCK = ("SELECT pg_advisory_xact_lock(%s)", "SELECT %s::bigint")
_READY = "(SELECT event_id FROM events_inboxentry WHERE due_at IS NULL ORDER BY event_id"
_SKIP_LOCKED = (_READY, f"(SELECT event_id FROM {_READY} FOR UPDATE SKIP LOCKED) ready")
_AHEAD = """
), ahead AS (
  UPDATE notifications_lane l SET next_sequence = w.last + 1
  FROM (SELECT of_lane, max(sequence) AS last FROM work GROUP BY of_lane) w WHERE l.id = w.of_lane
)
SELECT held.id, held.wake"""

# The mechanism, the scenario that needs it, the check that fails without it, and what takes it away.
MUTANTS = {
    "settle without epoch check": (
        a_lease_is_taken_over_before_its_worker_settles,
        World.a_late_settle_changes_nothing,
        [_NO_EPOCH],
    ),
    "settle without any epoch check": (
        a_lease_is_taken_over_before_its_worker_settles,
        World.a_late_settle_changes_nothing,
        [
            _NO_EPOCH,
            ("SELECT c.id, c.epoch, h.done", "SELECT c.id, h.epoch, h.done"),
            ("WHERE c.id = held.id AND c.epoch = held.epoch", "WHERE c.id = held.id"),
        ],
    ),
    "settle without lease check": (
        a_lease_runs_out_before_its_worker_settles,
        World.a_late_settle_changes_nothing,
        [("WHERE c.leased_until > clock_timestamp()\n  ORDER BY c.id FOR UPDATE OF c", "")],
    ),
    "fetch without writing in_flight": (
        a_worker_dies_with_what_it_took,
        invariants.what_a_live_worker_holds_is_on_record,
        [("SET in_flight = c.in_flight || w.ids", "SET in_flight = c.in_flight")],
    ),
    "head advanced before settle": (
        a_worker_dies_with_what_it_took,
        invariants.nothing_is_lost,
        [("\n)\nSELECT held.id, held.wake", _AHEAD)],
    ),
    "release without epoch check": (
        a_worker_gives_back_what_another_has_taken_over,
        invariants.what_a_live_worker_holds_is_on_record,
        [("WHERE c.id = s.id AND c.epoch = s.epoch", "WHERE c.id = s.id")],
    ),
    "fan-out without advisory lock": (
        two_sequencers_read_one_inbox,
        invariants.no_event_is_quarantined,
        [_NO_LOCK],
    ),
    "fan-out with SKIP LOCKED": (
        a_second_sequencer_comes_while_the_first_stands_still,
        invariants.lanes_follow_the_order_of_commit,
        [_NO_LOCK, _SKIP_LOCKED],
    ),
    "release without wake compare": (
        work_comes_while_a_channel_is_given_back,
        invariants.no_channel_sleeps_over_work,
        [("WHEN c.wake <> s.wake THEN", "WHEN false THEN")],
    ),
    "fetch without wake compare": (
        a_delivery_is_cancelled_while_it_is_fetched,
        World.nothing_given_up_is_sent,
        [("AND c.wake = held.wake", "")],
    ),
}  # fmt: skip


@pytest.fixture
def world(subscribed):
    return World.empty(subscriptions=len(subscribed))


@pytest.mark.parametrize("name", MUTANTS)
def test_the_engine_without_it_is_caught(world, name):
    scenario, check, replacements = MUTANTS[name]
    mutations = [Mutation(replaces=old, by=new) for old, new in replacements]

    with pytest.raises(AssertionError) as failure:
        scenario(world, mutations)

    assert check.__name__ in {entry.name for entry in failure.traceback}
    assert_each_hit_one_statement(mutations)


@pytest.mark.parametrize(
    "scenario", {scenario.__name__: scenario for scenario, _, _ in MUTANTS.values()}.values()
)
def test_the_engine_as_it_is_passes(world, scenario):
    scenario(world, [])
