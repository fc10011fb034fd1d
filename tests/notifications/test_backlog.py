"""Letting what waits go: counted first, then in order, and at a rate of its own."""

import json
import time

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from events.publish import Draft, publish_many
from notifications import backlog, claim, fetch, operate, ration, switch
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Circuit, Delivery, Endpoint, Lane
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.model.sessions import Session
from tests.workers import Gauge, until, working

pytestmark = pytest.mark.django_db(transaction=True)


def paused(catalog, count, *, is_ordered=True):
    """An endpoint that is paused, with so many deliveries of two accounts."""
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered))
    endpoint = subscription.endpoint
    endpoint.is_active = False
    endpoint.save()
    publish(catalog, count)
    return endpoint


def publish(catalog, count: int) -> None:
    sample = catalog["invoice.posted"].sample
    publish_many(
        [
            Draft(type="invoice.posted", data=sample | {"account": {"id": str(number % 2)}})
            for number in range(count)
        ]
    )
    fan_out()


def delivered() -> int:
    return Delivery.objects.filter(status="delivered").count()


def test_what_waits_is_counted_before_it_goes(catalog):
    endpoint = paused(catalog, 10)
    other = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), endpoint=endpoint)
    publish(catalog, 3)

    found = backlog.preview(endpoint)

    assert (found.deliveries, found.in_lanes, found.lanes) == (16, 13, 2)
    assert found.oldest == Delivery.objects.order_by("pk").first().created_at
    assert (found.minutes(10), found.minutes(16), found.minutes(60)) == (2, 1, 1)
    assert other.deliveries.count() == 3


def test_it_goes_out_in_order_and_as_fast_as_ever_without_a_rate(catalog, https_receiver):
    endpoint = paused(catalog, 40)
    assert Engine(until_idle=True).run() == 0

    assert backlog.resume(endpoint).deliveries == 40
    Circuit.objects.update(closed_at=None)

    assert Engine(until_idle=True).run() == 40
    for account in ("0", "1"):
        bodies = [json.loads(r.body) for r in https_receiver.received]
        numbers = [body["sequence"] for body in bodies if body["ordering_key"] == f"account:{account}"]
        assert numbers == list(range(1, 21))


def test_the_backlog_keeps_to_its_rate_and_what_comes_after_it_does_not(catalog, https_receiver):
    endpoint = paused(catalog, 30)
    https_receiver.script = gauge = Gauge()
    started = time.monotonic()

    backlog.resume(endpoint, per_minute=600)
    with working(2):
        assert until(lambda: delivered() == 30)
        assert time.monotonic() - started >= 2  # ten at once, twenty at ten a second
        assert until(lambda: Circuit.objects.get().backlog_left == 0)
        Circuit.objects.update(closed_at=None)
        publish(catalog, 60)
        assert until(lambda: delivered() == 90)

    assert len(gauge.arrivals) == 90
    assert Circuit.objects.get().backlog_left == 0
    for account in ("0", "1"):
        bodies = [json.loads(r.body) for r in https_receiver.received]
        numbers = [body["sequence"] for body in bodies if body["ordering_key"] == f"account:{account}"]
        assert numbers == list(range(1, 46))


def test_the_lower_one_of_two_rates_counts(catalog):
    endpoint = paused(catalog, 10)
    endpoint.rate_per_minute = 1
    endpoint.save()

    backlog.resume(endpoint, per_minute=600_000)

    circuit = Circuit.objects.get()
    assert (circuit.backlog_left, circuit.backlog_per_minute) == (10, 600_000)
    assert [granted for granted, _ in backlog_take(circuit)] == [1]


def backlog_take(circuit):
    return list(ration.take({circuit.pk: 8}).values())


def test_a_resumed_endpoint_starts_afresh_and_slowly(catalog):
    endpoint = paused(catalog, 10)
    Circuit.objects.update(failures=9, timeouts=9, probes=3)

    backlog.resume(endpoint)

    circuit = Circuit.objects.get()
    assert (circuit.failures, circuit.timeouts, circuit.probes, circuit.backlog_left) == (0, 0, 0, 0)
    assert circuit.closed_at is not None
    endpoint.refresh_from_db()
    assert endpoint.is_open
    leases = claim.lease("me:1", limit=4)
    assert {lease.seconds_since_closed < 5 for lease in leases} == {True}
    assert fetch.fetch(leases, alone=False).claimed


def test_what_was_given_up_in_the_middle_of_a_lane_does_not_wait(catalog):
    endpoint = paused(catalog, 10)
    first, second = (list(lane.deliveries.order_by("sequence")) for lane in Lane.objects.order_by("pk"))
    given_up = [*first[1:3], *second[2:]]
    actor = AnonymousUser()
    assert operate.cancel([delivery.pk for delivery in given_up], actor).done == 5
    assert operate.skip([second[0].pk, second[1].pk], actor).done == 2

    found = backlog.preview(endpoint)

    assert (found.deliveries, found.in_lanes, found.lanes) == (3, 3, 1)
    assert found.oldest == first[0].created_at


@pytest.mark.parametrize("switch_it", [switch.pause, switch.resume])
def test_switching_waits_for_an_edit_and_the_edit_does_not_wait_for_it(catalog, switch_it):
    endpoint = paused(catalog, 1)
    Endpoint.objects.update(is_active=switch_it is switch.pause)
    with transaction.atomic():
        edited = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        session = Session(lambda: switch_it(Endpoint, [endpoint.pk], AnonymousUser()), [])
        assert session.settles() == "blocked"
        edited.path = "/hooks/moved"
        edited.save()
    session.end()

    endpoint.refresh_from_db()
    assert (endpoint.path, endpoint.is_active) == ("/hooks/moved", switch_it is switch.resume)
