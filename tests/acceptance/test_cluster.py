"""The engine as django-q2 runs it: nothing polls for events, a commit wakes the cluster."""

import signal
import time

import pytest
from django_q.models import OrmQ, Schedule

from events.publish import publish
from notifications import runners, schedules
from notifications.models import Attempt, Delivery, Runner
from tests.factories import WebhookSubscriptionFactory
from tests.processes import manage

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_commit_wakes_an_idle_cluster_and_sigterm_ends_it_cleanly(catalog, https_receiver):
    WebhookSubscriptionFactory()
    with manage("qcluster", Q_CLUSTER_NAME="delivery", **{runners.CLUSTER_VARIABLE: "test"}) as cluster:
        time.sleep(2)
        for number in range(50):
            publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": str(number)}})
        assert https_receiver.wait_for(50, 20)
        cluster.send_signal(signal.SIGTERM)
        runners.ask_to_stop("test")
        assert cluster.wait(20) == 0

    assert [int(r.headers["bellwether-sequence"]) for r in https_receiver.received] == list(range(1, 51))
    assert Delivery.objects.filter(status="delivered").count() == 50
    assert Attempt.objects.count() == 50
    assert not Runner.objects.exists()
    assert OrmQ.objects.count() <= 1, "wake-ups are coalesced"


def test_the_safety_net_is_scheduled_once(db):
    schedules.ensure()
    schedules.ensure()
    found = list(
        Schedule.objects.filter(name="bellwether: deliver").values_list("cluster", "minutes", "repeats")
    )
    assert found == [("delivery", 1, -1)]
