"""What is on record about sends whose worker could not report them."""

import pytest

from notifications.models import Attempt, Channel, Delivery

from . import worker
from .world import ACCEPTED, ANSWERS, World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(subscribed):
    for each in subscribed[1:]:
        each.is_active = False
        each.save()
    world = World.empty(subscriptions=1)
    world.publish(1)
    worker.fan_out()
    world.workers[0].lease(8)
    world.workers[0].fetch()
    world.send(world.workers[0], world.workers[0].running[0], ACCEPTED)
    return world


@pytest.mark.parametrize("give_up", [worker.cancel, worker.skip])
def test_what_was_given_up_before_anybody_took_over_is_logged_as_maybe_sent(world, give_up):
    leases = list(world.workers[0].leases.values())
    world.crash(0)
    for lease in leases:
        world.expire(lease)
    give_up(Delivery.objects.get().pk)

    world.drain()

    assert list(Attempt.objects.values_list("number", "verdict")) == [(1, "crashed")]
    assert Delivery.objects.get().status in ("cancelled", "skipped")


def test_a_worker_that_is_late_leaves_what_was_in_flight_on_record(world):
    late = world.workers[0]
    [lease] = late.leases.values()
    world.expire(lease)

    world.settle(late)
    late.release()

    assert Channel.objects.get(pk=lease.channel_id).in_flight == [Delivery.objects.get().pk]
    world.drain()
    assert sorted(Attempt.objects.values_list("verdict", "is_fenced")) == [
        ("crashed", False),
        ("delivered", False),
        ("delivered", True),
    ]


def test_what_the_receiver_accepted_unheard_and_then_refused_is_sent_again(world):
    first, second, _ = world.workers
    [lease] = first.leases.values()
    world.expire(lease)
    second.lease(8)
    second.fetch()
    world.send(second, second.running[0], ANSWERS["server error"])
    world.settle(second)

    world.drain()

    assert [each.was_accepted for each in world.arrivals] == [True, False, True]
    attempts = Attempt.objects.order_by("number").values_list("verdict", flat=True)
    assert list(attempts) == ["crashed", "retry", "delivered"]
