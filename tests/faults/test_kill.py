"""Fault 1: workers killed at random points while they send."""

import random
import time
from contextlib import ExitStack

import pytest
from django.contrib.auth.models import AnonymousUser

from notifications import operate
from notifications.models import Attempt, Delivery
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import (
    SHORT_LEASE,
    SHORT_TIMEOUT,
    all_delivered,
    conclude,
    publish_events,
    subscribe,
    unfinished,
    wait_until,
    worker,
)

pytestmark = pytest.mark.django_db(transaction=True)

EACH = 6  # deliveries of an event


def test_workers_killed_at_random_points_lose_nothing(catalog, ledger):
    kill_workers(ledger, kills=2, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(catalog, ledger):
    kill_workers(ledger, kills=200, seed=random.randrange(1_000_000))


def kill_workers(ledger: Ledger, *, kills: int, seed: int) -> None:
    """Kill one of two workers again and again; the last one's leases run out by themselves."""
    chance = random.Random(seed)
    subscribe(HOSTS[:4], ordered=True, timeout_seconds=SHORT_TIMEOUT)
    subscribe(HOSTS[4:6], ordered=False, timeout_seconds=SHORT_TIMEOUT)
    ledger.behave(Rule(delay=0.004))
    published: list[str] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(lease=SHORT_LEASE)) for _ in range(2)]
        for _ in range(kills - 1):
            published += _work(ledger, chance)
            place = chance.randrange(2)
            workers[place].kill()
            workers[place].expire_leases()
            workers[place] = stack.enter_context(worker(lease=SHORT_LEASE))
        published += _work(ledger, chance)
        last = max(workers, key=lambda each: len(each.in_flight()))
        last.kill()
        waiting = Delivery.objects.filter(pk__in=last.in_flight()).exclude(status="delivered")
        recovery = wait_until(lambda: not waiting.exists())
        delivered = all_delivered(len(published) * EACH)
        wait_until(lambda: not _retry_parked() and delivered(), 300)
    crashed = Attempt.objects.filter(verdict="crashed").count()
    assert crashed > 0, "nothing was in flight at any kill: nothing is proven"
    conclude(
        "1 kill -9",
        ledger,
        published=published,
        deliveries_each=EACH,
        runs=kills,
        seed=seed,
        recovery_seconds=recovery,
        crashed_attempts=crashed,
    )


def _retry_parked() -> int:
    """Do as a person does: what three workers died with is held, also where it was innocent each time."""
    parked = Delivery.objects.filter(status="held", hold_cause="crashed")
    return operate.retry(list(parked.values_list("pk", flat=True)), AnonymousUser()).done


def _work(ledger: Ledger, chance: random.Random) -> list[str]:
    """Keep the workers busy up to a random moment; return what was published for it."""
    _retry_parked()
    published = publish_events(100) if unfinished() < 300 else []
    assert ledger.wait_for(ledger.count() + chance.randrange(20, 120), 60)
    time.sleep(chance.random() * 0.02)
    return published
