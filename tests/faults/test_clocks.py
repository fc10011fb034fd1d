"""Fault 7: hosts whose clocks are ten minutes apart from the database's, one ahead and one behind."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from notifications.models import Attempt, Channel, Delivery, Runner
from tests.faults.conftest import HOSTS
from tests.faults.hosts import need
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import Worker, all_delivered, conclude, publish_events, subscribe, wait_until, worker

pytestmark = pytest.mark.django_db(transaction=True)

AHEAD, BEHIND = "+600", "-600"  # seconds
EACH = 20


@pytest.fixture(autouse=True)
def faketime() -> None:
    need("faketime", "faketime")


@contextmanager
def worker_at(offset: str) -> Iterator[Worker]:
    """Run a worker whose wall clock, and nothing else, is off by so many seconds."""
    variables = {
        # $LIB is the loader's own word for this machine's folder of libraries.
        "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1",
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    shown = subprocess.run(
        ["date", "+%s"], env=os.environ | variables, check=True, capture_output=True, text=True
    )
    assert abs(int(shown.stdout) - time.time() - int(offset)) < 60, "the clock is not off: nothing is proven"
    with worker(variables=variables) as found:
        yield found


def test_clocks_ten_minutes_apart_change_neither_order_nor_leases(catalog, ledger):
    work_apart(ledger, events=20)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_clocks_ten_minutes_apart_change_neither_order_nor_leases_for_long(catalog, ledger):
    work_apart(ledger, events=1_000)


def work_apart(ledger: Ledger, *, events: int) -> None:
    """Let two such hosts share lanes whose requests fail now and then; nothing waits for either clock."""
    subscribe(HOSTS[: EACH // 2], ordered=True, retry_seconds=[0, 1] * 15)
    subscribe(HOSTS[EACH // 2 : EACH], ordered=False, retry_seconds=[0, 1] * 15)
    ledger.behave(Rule(fail=0.2, delay=0.01))
    with worker_at(AHEAD) as one, worker_at(BEHIND) as two:
        wait_until(lambda: Runner.objects.count() == 2)
        published = publish_events(events)
        took = wait_until(all_delivered(events * EACH), 60 + events)
        owners = {name.split(":")[1] for name in Attempt.objects.values_list("worker", flat=True).distinct()}
        assert owners == {str(each.process.pid) for each in (one, two)}, "both hosts sent"
    assert not Channel.objects.filter(due_at__gt=datetime.now(UTC) + timedelta(minutes=1)).exists()
    findings = conclude(
        "7 clocks apart", ledger, published=published, deliveries_each=EACH, runs=1, recovery_seconds=took
    )
    assert findings.duplicates == 0


@pytest.mark.parametrize("offset", [AHEAD, BEHIND])
def test_signatures_and_attempts_carry_the_time_of_the_database(catalog, ledger, offset):
    [subscription] = subscribe(HOSTS[:1], ordered=True)
    ledger.behave(Rule(keeps_body=True))
    began = datetime.now(UTC)
    publish_events(10)
    with worker_at(offset):
        wait_until(all_delivered(10))
    lines = ledger.lines()
    assert len(lines) == 10
    for line in lines:
        assert abs(int(line.timestamp) - line.wall) <= 5
        headers = {
            "webhook-id": line.webhook_id,
            "webhook-timestamp": line.timestamp,
            "webhook-signature": line.signature,
        }
        # It refuses what is more than five minutes off.
        Webhook(subscription.endpoint.secret).verify(line.body, headers)
    second = timedelta(seconds=1)
    for attempt in Attempt.objects.all():
        assert began - second <= attempt.started_at <= datetime.now(UTC) + second
    for delivery in Delivery.objects.all():
        assert began - second <= delivery.created_at <= delivery.settled_at
