"""Pausing a subscription or queue: what comes up is held, and goes on in order when the pause ends."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from events.publish import Draft, publish_many
from notifications import parking
from notifications.destinations import Directory
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Channel, Delivery, Lane
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.workers import together

pytestmark = pytest.mark.django_db(transaction=True)


def run() -> int:
    return Engine(until_idle=True).run()


def publish(catalog, count: int) -> None:
    sample = catalog["invoice.posted"].sample
    publish_many([Draft(type="invoice.posted", data=sample) for _ in range(count)])
    fan_out()


def states() -> set[tuple[str, str]]:
    return set(Delivery.objects.values_list("status", "hold_cause"))


def test_only_the_head_of_a_lane_is_held_and_the_order_stays(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(is_paused=True)
    publish(catalog, 10)

    assert run() == 0

    assert sorted(Delivery.objects.order_by("pk").values_list("status", "hold_cause")) == [
        ("held", "paused"), *[("pending", "")] * 9
    ]  # fmt: skip
    lane = Lane.objects.get()
    assert (lane.next_sequence, lane.blocked_by.sequence, lane.due_at) == (1, 1, None)

    subscription.is_paused = False
    subscription.save()
    publish(catalog, 2)
    assert parking.go_on() == 1
    assert run() == 12
    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == list(range(1, 13))


@pytest.mark.parametrize("what", ["queue", "subscription"])
def test_a_pause_holds_each_delivery_that_is_in_any_order(catalog, https_receiver, what):
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    paused = subscription.queue if what == "queue" else subscription
    paused.is_paused = True
    paused.save()
    publish(catalog, 20)

    assert run() == 0
    assert states() == {("held", "paused")}
    assert set(Channel.objects.values_list("due_at", flat=True)) == {None}
    assert parking.go_on() == 0

    paused.is_paused = False
    paused.save()
    assert parking.go_on() == 20
    assert parking.go_on() == 0
    assert run() == 20
    assert states() == {("delivered", "")}
    assert set(Delivery.objects.values_list("attempt_count", flat=True)) == {1}


def test_a_neighbour_on_the_same_endpoint_goes_on(catalog, https_receiver):
    paused = WebhookSubscriptionFactory(is_paused=True)
    sound = WebhookSubscriptionFactory(queue=paused.queue, endpoint=paused.endpoint)
    publish(catalog, 5)

    assert run() == 5

    assert set(sound.deliveries.values_list("status", flat=True)) == {"delivered"}


def test_what_was_tried_before_the_pause_is_still_retried_after_it(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), is_paused=True)
    publish(catalog, 1)
    Delivery.objects.update(status="retrying", attempt_count=3)
    run()
    subscription.is_paused = False
    subscription.save()

    parking.go_on()

    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempt_count) == ("retrying", 3)


def test_many_are_taken_back_in_batches(catalog, https_receiver, monkeypatch):
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), is_paused=True)
    publish(catalog, 20)
    run()
    subscription.is_paused = False
    subscription.save()
    monkeypatch.setattr(parking, "BATCH", 8)

    assert parking.go_on() == 20
    assert states() == {("pending", "")}


def test_several_that_take_back_at_once_count_each_delivery_once(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), is_paused=True)
    publish(catalog, 30)
    run()
    subscription.is_paused = False
    subscription.save()

    assert sum(together(*[parking.go_on] * 4)) == 30

    assert run() == 30
    assert https_receiver.count == 30


def test_the_end_of_a_pause_is_seen_at_once(catalog):
    subscription = WebhookSubscriptionFactory(is_paused=True)
    directory = Directory()
    assert directory.notifications([subscription.pk])[subscription.pk].is_paused

    subscription.is_paused = False
    subscription.save()

    assert not directory.notifications([subscription.pk])[subscription.pk].is_paused


def test_a_lane_that_an_open_circuit_stopped_is_taken_back_without_a_send(catalog, https_receiver):
    """Going on makes due what was held, and leaves a rest of its channel as it is."""
    subscription = WebhookSubscriptionFactory(is_paused=True)
    publish(catalog, 3)
    run()
    later = timezone.now() + timedelta(hours=1)
    Channel.objects.update(not_before=later, rest_cause="asked")
    subscription.is_paused = False
    subscription.save()

    parking.go_on()

    assert run() == 0
    assert Channel.objects.exclude(due_at=None).get().due_at == later
