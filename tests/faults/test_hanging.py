"""Fault 11: nine of ten endpoints hang."""

import pytest

from notifications.models import Delivery, Runner
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import conclude, publish_events, subscribe, wait_until, worker

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = 15  # seconds, the default and the longest


@pytest.mark.parametrize("known", [False, True], ids=["from the first contact", "all at once"])
def test_healthy_endpoints_are_served_while_nine_of_ten_hang(catalog, ledger, known):
    serve_beside_hanging(ledger, endpoints=30, events=20, known=known)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("known", [False, True], ids=["from the first contact", "all at once"])
def test_healthy_endpoints_are_served_while_ninety_of_a_hundred_hang(catalog, ledger, known):
    serve_beside_hanging(ledger, endpoints=100, events=100, known=known)


def serve_beside_hanging(ledger: Ledger, *, endpoints: int, events: int, known: bool) -> None:
    """Publish to all; the healthy ones have everything before the first hanging send has timed out."""
    healthy, hanging = HOSTS[: endpoints // 10], HOSTS[endpoints // 10 : endpoints]
    # The hanging ones first: whoever serves in order of age meets them first.
    bad = subscribe(hanging, ordered=True, retry_seconds=[3600], timeout_seconds=TIMEOUT)
    good = subscribe(healthy, ordered=True, timeout_seconds=TIMEOUT)
    delivered = Delivery.objects.filter(status="delivered")
    published: list[str] = []
    with worker(threads=8) as one, worker(threads=8) as two:
        wait_until(lambda: Runner.objects.count() == 2)  # what is measured begins with workers that run
        if known:
            published += publish_events(8)
            wait_until(lambda: delivered.count() == 8 * endpoints)
        ledger.behave(Rule(misbehaviour="hang"), *hanging)
        published += publish_events(events)
        served = delivered.filter(subscription__in=good)
        took = wait_until(lambda: served.count() == len(published) * len(good), TIMEOUT)
        one.kill()
        two.kill()
    lines = ledger.lines()
    hung = [line for line in lines if line.answer == "hang"]
    assert hung, "nothing hung: nothing is proven"
    first_time_out = min(line.arrived for line in hung) + TIMEOUT
    last_arrival = max(line.arrived for line in lines if line.host in healthy)
    assert {line.host for line in lines if line.arrived < first_time_out} >= set(healthy)
    findings = conclude(
        f"11 hanging, {'all at once' if known else 'from the first contact'}",
        ledger,
        published=published,
        deliveries_each=len(bad) + len(good),
        runs=1,
        recovery_seconds=took,
    )
    assert findings.duplicates == 0
    assert last_arrival < first_time_out, "the healthy ones waited for the hanging ones"
