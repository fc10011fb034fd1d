"""Rate limits: exact over time, however many workers serve an endpoint, and never a standstill."""

import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from events.publish import Draft, publish_many
from notifications import ration
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Circuit
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.workers import Gauge, together, until, working

pytestmark = pytest.mark.django_db(transaction=True)


def waiting(catalog, count, **endpoint):
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


def test_at_most_one_seconds_worth_is_granted_at_once_and_then_as_time_goes_by(catalog):
    circuit = waiting(catalog, 1, rate_per_minute=600)

    assert ration.take({circuit.pk: 64})[circuit.pk][0] == 10
    granted, wait = ration.take({circuit.pk: 64})[circuit.pk]
    assert (granted, 0 < wait <= 0.1) == (0, True)

    for ago, tokens in [(0.55, 5), (3600, 10)]:
        Circuit.objects.update(tokens=0, tokens_at=Now() - timedelta(seconds=ago))
        assert ration.take({circuit.pk: 64})[circuit.pk][0] == tokens


def test_a_rate_below_one_a_second_grants_one_at_a_time(catalog):
    circuit = waiting(catalog, 1, rate_per_minute=2)

    assert ration.take({circuit.pk: 8})[circuit.pk][0] == 1
    granted, wait = ration.take({circuit.pk: 8})[circuit.pk]
    assert (granted, round(wait)) == (0, 30)


def test_many_takers_at_once_get_no_more_than_there_is(catalog):
    circuit = waiting(catalog, 1, rate_per_minute=60)

    taken = together(*[lambda: ration.take({circuit.pk: 3}) for _ in range(6)])

    assert sorted(one[circuit.pk][0] for one in taken) == [0, 0, 0, 0, 0, 1]


def test_tokens_that_were_not_used_are_given_back(catalog):
    circuit = waiting(catalog, 1, rate_per_minute=600)
    ration.take({circuit.pk: 10})

    ration.give_back({circuit.pk: 7})

    assert ration.take({circuit.pk: 64})[circuit.pk][0] == 7


def test_what_a_run_did_not_try_keeps_its_tokens(catalog, https_receiver):
    """The answer pauses the endpoint: of the eight that were handed out, seven are not sent."""
    circuit = waiting(catalog, 20)
    Circuit.objects.update(backlog_left=20, backlog_per_minute=600)
    https_receiver.script = lambda r: (410, {}, b"")

    run()

    circuit.refresh_from_db()
    assert (https_receiver.count, circuit.backlog_left) == (1, 19)


def run() -> int:
    return Engine(until_idle=True).run()
