"""Digests lose nothing: whatever breaks off wherever, each event arrives alone or in exactly one digest."""

import json
import time
from collections import Counter

import pytest
from django.db import OperationalError, connection
from django.db.models import Count

from events.models import QuarantinedEvent
from events.publish import publish
from notifications import finish_digests
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Collected, Delivery, Digest, Lane
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.processes import manage
from tests.workers import together, working

from .test_storm_control import end_periods

pytestmark = pytest.mark.django_db(transaction=True)


class Breaking:
    """Ends the connection's statement number `at` with the error of a lost database."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def __call__(self, execute, sql, params, many, context):
        self.seen += 1
        if self.seen == self.at:
            raise OperationalError("terminating connection")
        return execute(sql, params, many, context)


def post(accounts):
    return [
        publish("invoice.posted", {"account": {"id": account}, "invoice": {"id": "1"}}).event
        for account in accounts
    ]


def arrived(received):
    """How often each event arrived, alone or in a digest; a repeated webhook-id is the same arrival."""
    bodies = {each.headers["webhook-id"]: json.loads(each.body) for each in received}
    alone = [body["id"] for body in bodies.values() if body["type"] != "digest"]
    listed = [
        each["id"] for body in bodies.values() if body["type"] == "digest" for each in body["data"]["events"]
    ]
    return Counter(alone + listed)


def sound():
    """What must hold between any two steps."""
    assert not QuarantinedEvent.objects.exists()
    in_digests = set(Collected.objects.values_list("delivery_id", flat=True))
    waiting = Delivery.objects.filter(hold_cause="collected")
    done = Delivery.objects.filter(status="digested")
    assert {*waiting.values_list("pk", flat=True), *done.values_list("pk", flat=True)} == in_digests
    assert not done.filter(collected__digest__delivery=None).exists()
    assert not Delivery.objects.filter(status__in=["pending", "delivered"], collected__isnull=False).exists()


@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_break_at_any_statement_leaves_each_delivery_in_one_place(is_ordered, catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered), storm_limit=2, storm_minutes=30)
    events = post(["1", "2", "1", "2", "1", "3"])
    steps = {
        "collect": fan_out,
        "send": Engine(until_idle=True).run,
        "close": fan_out,
        "send the digest": Engine(until_idle=True).run,
        "finish": finish_digests.finish,
    }
    broken = Counter()
    for name, step in steps.items():
        if name == "close":
            end_periods()
        if "send" in name:
            step()
            if name == "send the digest":
                # As if the worker had died between the settling and what follows from it.
                Digest.objects.filter(delivery__isnull=False).update(finished_at=None)
                Delivery.objects.filter(status="digested").update(
                    status="held", hold_cause="collected", settled_at=None
                )
            continue
        while True:
            breaking = Breaking(at=broken[name] + 1)
            try:
                with connection.execute_wrapper(breaking):
                    step()
            except OperationalError:
                broken[name] += 1
                sound()
                continue
            break
        sound()
    Engine(until_idle=True).run()

    assert arrived(https_receiver.received) == {event.public_id: 1 for event in events}
    assert dict(Delivery.objects.order_by().values_list("status").annotate(Count("pk"))) == {
        "delivered": 3,
        "digested": 4,
    }
    assert min(broken.values()) >= 5, broken
    assert set(Lane.objects.values_list("due_at", "blocked_by")) <= {(None, None)}


def test_two_workers_that_close_and_finish_at_once_make_one_digest(catalog, https_receiver):
    subscriptions = [
        WebhookSubscriptionFactory(
            queue=QueueFactory(is_ordered=number % 2 == 0), endpoint__path=f"/{number}", storm_limit=1
        )
        for number in range(4)
    ]
    events = post(str(number % 5) for number in range(40))
    assert sum(together(fan_out, fan_out, fan_out)) == 40
    assert Engine(until_idle=True).run() == 4
    end_periods()
    assert sum(together(fan_out, fan_out, fan_out)) == 4
    sound()
    assert Digest.objects.filter(delivery__isnull=False).count() == 4
    with working(2):
        ends = time.monotonic() + 60
        while Delivery.objects.filter(status="digested").count() < 4 * 39:
            assert time.monotonic() < ends
            together(finish_digests.finish, finish_digests.finish)
            time.sleep(0.05)
    for number in range(4):
        received = [each for each in https_receiver.received if each.path == f"/{number}"]
        assert arrived(received) == {event.public_id: 1 for event in events}
        assert len(received) == 2
    assert {each.digests.filter(delivery__isnull=False).get().size for each in subscriptions} == {39}


def test_a_worker_that_is_killed_while_it_sends_a_digest_changes_only_when_it_arrives(
    catalog, https_receiver
):
    WebhookSubscriptionFactory(storm_limit=1)
    events = post(["1"] * 30)
    assert Engine(until_idle=True).run() == 1
    https_receiver.script = lambda _: time.sleep(3) or (204, {}, b"")
    end_periods()
    with manage("deliver") as process:
        ends = time.monotonic() + 60
        while len(https_receiver.received) < 2 and time.monotonic() < ends:
            time.sleep(0.05)
        process.kill()
        process.wait()
    sound()
    assert Delivery.objects.filter(hold_cause="collected").count() == 29
    https_receiver.script = lambda _: (204, {}, b"")
    with connection.cursor() as cursor:  # as if its lease had run out
        cursor.execute(
            "UPDATE notifications_channel SET leased_until = now(), due_at = now() WHERE owner <> ''"
        )
    post(["1"])
    assert Engine(until_idle=True).run() == 2
    assert arrived(https_receiver.received)[events[-1].public_id] == 1
    bodies = [json.loads(each.body) for each in https_receiver.received]
    assert [body["type"] for body in bodies] == ["invoice.posted", "digest", "digest", "invoice.posted"]
    assert https_receiver.received[1].body == https_receiver.received[2].body
    assert Delivery.objects.filter(status="digested").count() == 29
