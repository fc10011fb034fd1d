"""Fault 12: an outage of all receivers, and what waits after it."""

import pytest

from notifications.models import Attempt, Circuit
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import (
    all_delivered,
    conclude,
    publish_events,
    statuses,
    subscribe,
    wait_until,
    worker,
)

pytestmark = pytest.mark.django_db(transaction=True)

EACH = 4


def test_what_waits_after_an_outage_arrives_in_order(catalog, ledger):
    recover(ledger, waiting=2_000)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_waiting_after_an_outage_arrive_in_order(catalog, ledger):
    recover(ledger, waiting=100_000)


def recover(ledger: Ledger, *, waiting: int) -> None:
    """Let every request fail for a while, half before and half during publication; then none."""
    subscribe(HOSTS[: EACH - 1], ordered=True, retry_seconds=[1, 2] * 15)
    subscribe(HOSTS[EACH - 1 : EACH], ordered=False, retry_seconds=[1, 2] * 15)
    ledger.behave(Rule(fail=1.0, fail_status=503))
    with worker(), worker():
        published = publish_events(waiting // EACH, lanes=100)
        wait_until(lambda: Circuit.objects.filter(opened_at__isnull=False).count() == EACH, 60)
        assert "delivered" not in statuses()
        # What was under way when they opened, and since then a probe now and then.
        assert len(ledger.lines()) < 40 * EACH
        ledger.behave(Rule())
        took = wait_until(all_delivered(waiting), 60 + waiting / 50)
    failed = Attempt.objects.filter(status_code=503).count()
    findings = conclude(
        "12 outage",
        ledger,
        published=published,
        deliveries_each=EACH,
        runs=1,
        recovery_seconds=took,
        waiting=waiting,
        failed_attempts=failed,
    )
    assert failed >= 5 * EACH, "a circuit opens after five failures"
    assert findings.duplicates == 0
