"""Rate limits: exact over time, however many workers serve an endpoint, and never a standstill."""

import time

import pytest

from events.publish import Draft, publish_many
from notifications.fan_out import fan_out
from notifications.models import Circuit
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.workers import Gauge, until, working

pytestmark = pytest.mark.django_db(transaction=True)


def waiting(catalog, count: int, **endpoint) -> Circuit:
    """Let so many deliveries wait for one endpoint, in any order."""
    fields = {f"endpoint__{name}": value for name, value in endpoint.items()}
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), **fields)
    publish_many([Draft(type="invoice.posted", data=catalog["invoice.posted"].sample) for _ in range(count)])
    fan_out()
    return subscription.endpoint.circuit


def test_a_fast_endpoint_with_a_rate_is_served_on_by_one_worker_that_holds_both_of_its_channels(
    catalog, https_receiver
):
    waiting(catalog, 24, rate_per_minute=240)
    started = time.monotonic()

    with working():
        assert until(lambda: https_receiver.count == 24, 20)

    # The first second's worth at once, the other twenty at four a second.
    assert time.monotonic() - started >= 5


def test_a_rate_is_used_in_full_where_answers_take_their_time(catalog, https_receiver):
    waiting(catalog, 100, rate_per_minute=1_200)
    https_receiver.script = Gauge(seconds=0.05)

    with working():
        assert until(lambda: https_receiver.count == 100, 12)


def test_two_workers_and_both_channels_keep_one_rate_together(catalog, https_receiver):
    waiting(catalog, 80, rate_per_minute=1_200)
    started = time.monotonic()

    with working(2):
        assert until(lambda: https_receiver.count == 80, 20)

    assert time.monotonic() - started >= 3
