"""Fault 9: receivers that misbehave on purpose, each beside healthy ones, in one worker with few threads."""

import pytest
from psutil import Process

from notifications.breaker import OPENS_AFTER
from notifications.models import Attempt, Delivery
from notifications.transports.base import BODY_LIMIT
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger, Rule
from tests.faults.misbehaviour import BY_NAME, NEVER_READS
from tests.faults.scene import (
    begin_anew,
    conclude,
    publish_events,
    subscribe,
    wait_for_count,
    wait_until,
    worker,
)

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = [*BY_NAME, NEVER_READS]
GOOD, BAD = HOSTS[:2], HOSTS[2 : 2 + len(KINDS)]
# What support staff read: verdict, error class and status of the one attempt.
EXPECTED = {
    "hang": ("unknown", "timeout", None),
    "reset": ("unknown", "reset", None),
    "drip_header": ("unknown", "timeout", 200),
    "drip_body": ("unknown", "timeout", 200),
    "interim": ("unknown", "timeout", None),
    "proceed": ("unknown", "timeout", None),
    "huge_body": ("delivered", "", 200),
    "gzip_bomb": ("delivered", "", 200),
    "metadata": ("retry", "redirect", 307),
    "many_headers": ("unknown", "protocol", None),
    "long_header": ("unknown", "protocol", None),
    "chunk_bomb": ("delivered", "", 200),
    NEVER_READS: ("unknown", "timeout", None),
}
SERIES = OPENS_AFTER - 1
FREED_WITHIN = 8_000  # milliseconds, with a time-out of 2 s on a busy machine
MEMORY = 64 * 1024 * 1024  # bytes that the worker may grow by; the bomb inflates to 50 MB, the body is 10 GB


def test_hostile_receivers_are_one_clear_attempt_each_and_hold_up_nobody(catalog, ledger):
    meet_hostility(ledger, rounds=1)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
def test_hostile_receivers_again_and_again_hold_up_nobody(catalog, ledger):
    meet_hostility(ledger, rounds=20)


def meet_hostility(ledger: Ledger, *, rounds: int) -> None:
    """Send to healthy and hostile hosts with fewer threads than hostile ones."""
    subscribe(GOOD, ordered=False)
    bad = subscribe(BAD, ordered=False, retry_seconds=[3600], timeout_seconds=2)
    for kind, host in zip(KINDS, BAD, strict=True):
        ledger.behave(Rule(misbehaviour=kind), host)
    good = Delivery.objects.exclude(subscription__in=bad).filter(status="delivered")
    tried = Delivery.objects.filter(subscription__in=bad, attempt_count=1)
    published: list[str] = []
    with worker(threads=4) as one:
        process = Process(one.process.pid)
        wait_until(lambda: process.num_threads() > 4)
        before = process.memory_info().rss
        # The last round proves that the threads are free again.
        for number in range(1, rounds + 2):
            published += publish_events(1)
            took = wait_for_count(good, number * len(GOOD))
            wait_for_count(tried, number * len(BAD), 120)
            if number % SERIES == 0:
                begin_anew(bad)
        grown = process.memory_info().rss - before
    for subscription, kind in zip(bad, KINDS, strict=True):
        attempts = Attempt.objects.filter(delivery__subscription=subscription)
        found = set(attempts.values_list("verdict", "error_class", "status_code"))
        assert (kind, found) == (kind, {EXPECTED[kind]})
        assert attempts.count() == len(published)
        assert all(attempt.detail for attempt in attempts)
        assert max(attempt.duration_ms for attempt in attempts) < FREED_WITHIN
        # What is kept of an answer is bounded, whatever was sent.
        assert max(len(attempt.response_body) for attempt in attempts) <= BODY_LIMIT
        assert max(len(attempt.response_headers) for attempt in attempts) <= 16_000
    metadata = Attempt.objects.filter(error_class="redirect")
    assert all("169.254.169.254" in attempt.detail for attempt in metadata)
    assert not Attempt.objects.filter(address__startswith="169.254.").exists()
    assert grown < MEMORY
    conclude(
        "9 hostile receivers",
        ledger,
        published=published,
        deliveries_each=len(GOOD) + len(BAD),
        runs=rounds,
        recovery_seconds=took,
        grown_megabytes=grown / 1e6,
    )
