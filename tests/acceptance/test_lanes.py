"""Order, with real worker processes that share one in-order queue."""

import json
import random
import threading
import time
from collections import defaultdict
from contextlib import ExitStack

import pytest
from django.db import connection

from events.publish import publish
from notifications.models import Delivery
from tests.factories import WebhookSubscriptionFactory
from tests.processes import manage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

WORKERS, LANES, WRITERS, EVENTS_PER_WRITER = 4, 6, 3, 80


def test_lanes_stay_in_order_with_four_workers_and_three_failures_in_ten(catalog, https_receiver):
    subscriptions = [WebhookSubscriptionFactory(retry_seconds=[0] * 30)]
    subscriptions.append(
        WebhookSubscriptionFactory(
            queue=subscriptions[0].queue, endpoint__path="/two", retry_seconds=[0] * 30
        )
    )
    chance = random.Random(1)
    accepted = defaultdict(list)

    def answer(request):
        if chance.random() < 0.3:
            return 500, {}, b""
        accepted[request.path, request.headers["bellwether-lane"]].append(request)
        return 204, {}, b""

    https_receiver.script = answer

    def write(seed: int) -> None:
        source = random.Random(seed)
        for _ in range(EVENTS_PER_WRITER):
            data = {"account": {"id": str(source.randrange(LANES))}, "invoice": {"id": "1"}}
            publish("invoice.posted", data)
        connection.close()

    with ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(manage("deliver", DELIVERY_THREADS="4"))
        writers = [threading.Thread(target=write, args=(seed,)) for seed in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        total = 2 * WRITERS * EVENTS_PER_WRITER
        _wait_until(lambda: Delivery.objects.filter(status="delivered").count() == total)

    assert sum(len(requests) for requests in accepted.values()) == total
    assert len(accepted) == 2 * LANES
    for requests in accepted.values():
        assert [int(r.headers["bellwether-sequence"]) for r in requests] == list(range(1, len(requests) + 1))
        assert [r.headers.get("bellwether-previous") for r in requests] == [
            None, *[r.headers["webhook-id"] for r in requests[:-1]]
        ]  # fmt: skip
    by_path = [
        {
            lane: [json.loads(r.body)["id"] for r in requests]
            for (path, lane), requests in accepted.items()
            if path == p
        }
        for p in ("/hook", "/two")
    ]
    orders = [{lane.split(":", 1)[1]: ids for lane, ids in lanes.items()} for lanes in by_path]
    assert orders[0] == orders[1], "the same order in every lane of a key"
    assert len(https_receiver.received) > 1.2 * total, "the failures did happen"


def _wait_until(condition, seconds: float = 240.0) -> None:
    gives_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < gives_up, Delivery.objects.values_list("status").distinct()
        time.sleep(0.1)
