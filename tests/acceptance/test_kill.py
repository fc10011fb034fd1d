"""A worker that is killed while it sends."""

import signal
import threading
from collections import Counter

import pytest
from django.db.models.functions import Now

from events.publish import publish
from notifications.engine import Engine
from notifications.models import Attempt, Channel, Delivery
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.processes import manage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_worker_killed_mid_send_loses_nothing(catalog, https_receiver, is_ordered):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered))
    for number in range(40):
        publish("invoice.posted", {"account": {"id": str(number % 4)}, "invoice": {"id": str(number)}})
    mid_send, killed = threading.Event(), threading.Event()

    def answer(request):
        if request.number == 7:
            mid_send.set()
            killed.wait(10)
        return 204, {}, b""

    https_receiver.script = answer
    with manage("deliver") as worker:
        assert mid_send.wait(20)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        killed.set()
    unsettled = Delivery.objects.exclude(status="delivered").count()
    assert unsettled > 0
    may_have_been_sent = {pk for ids in Channel.objects.values_list("in_flight", flat=True) for pk in ids}
    # The lease runs out.
    Channel.objects.exclude(leased_until=None).update(leased_until=Now(), due_at=Now())

    Engine(until_idle=True).run()

    arrivals = Counter(request.headers["webhook-id"] for request in https_receiver.received)
    deliveries = {delivery.public_id: delivery for delivery in Delivery.objects.all()}
    assert {delivery.status for delivery in deliveries.values()} == {"delivered"}
    assert set(arrivals) == set(deliveries), "nothing is lost"
    repeated = {deliveries[public_id].pk for public_id, count in arrivals.items() if count > 1}
    assert repeated <= may_have_been_sent, "only what was known to be in flight may come twice"
    assert (
        set(Attempt.objects.filter(verdict="crashed").values_list("delivery_id", flat=True))
        <= may_have_been_sent
    )
    assert Attempt.objects.filter(verdict="crashed").exists()
