"""Fault 4: a worker stopped past its lease; another takes over; then the first one goes on."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.models import QuerySet

from notifications.models import Attempt, Delivery, Lane
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import (
    SHORT_LEASE,
    SHORT_TIMEOUT,
    all_delivered,
    conclude,
    publish_events,
    subscribe,
    wait_for_more,
    wait_until,
    worker,
)

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS, EACH = 60, 3


def test_a_worker_that_wakes_after_its_lease_changes_nothing(catalog, ledger):
    stop_workers(ledger, stops=1, seed=1)


def test_a_worker_that_stops_within_a_transaction_keeps_nobody_from_what_it_has_locked(catalog, ledger):
    subscribe(HOSTS[:1], ordered=True, timeout_seconds=SHORT_TIMEOUT)
    with worker(lease=SHORT_LEASE) as one:
        published = publish_events(EVENTS)
        wait_until(all_delivered(EVENTS))
        with channels_locked():
            published += publish_events(EVENTS)
            wait_until(one.waits_for_a_lock)  # to write what it has taken out of the inbox
            one.process.send_signal(signal.SIGSTOP)
        with worker(lease=SHORT_LEASE) as other:
            recovery = wait_until(all_delivered(2 * EVENTS))
            one.process.send_signal(signal.SIGCONT)
            other.kill()
        published += publish_events(EVENTS)
        wait_until(all_delivered(3 * EVENTS))
        assert one.process.poll() is None, "it goes on, on another connection"
    conclude(
        "4 SIGSTOP within a transaction",
        ledger,
        published=published,
        deliveries_each=1,
        runs=1,
        recovery_seconds=recovery,
    )


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_workers_that_wake_after_their_lease_change_nothing(catalog, ledger):
    stop_workers(ledger, stops=14, seed=random.randrange(1_000_000))


@contextmanager
def channels_locked() -> Iterator[None]:
    """Lock all channels on a connection of its own."""
    holder = connection.copy()
    holder.set_autocommit(False)
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM notifications_channel FOR UPDATE")
        yield
        holder.rollback()
    finally:
        holder.close()


def stop_workers(ledger: Ledger, *, stops: int, seed: int) -> None:
    """Stop the worker that holds the most, let the other finish its work, and wake it again."""
    chance = random.Random(seed)
    subscribe(HOSTS[:2], ordered=True, timeout_seconds=SHORT_TIMEOUT)
    subscribe(HOSTS[2:3], ordered=False, timeout_seconds=SHORT_TIMEOUT)
    published: list[str] = []
    slowest = 0.0
    with worker(lease=SHORT_LEASE) as one, worker(lease=SHORT_LEASE) as other:
        for _ in range(stops):
            # Slow enough that sends are under way when it is stopped.
            ledger.behave(Rule(delay=0.2))
            published += publish_events(EVENTS)
            assert ledger.wait_for(ledger.count() + chance.randrange(6, 20))
            stopped = max((one, other), key=lambda each: len(each.in_flight()))
            in_flight = stopped.in_flight()
            stopped.process.send_signal(signal.SIGSTOP)
            assert in_flight, "nothing was in flight: nothing is proven"
            ledger.behave(Rule())
            slowest = max(slowest, wait_until(all_delivered(len(published) * EACH)))
            before, late = _state(), _late().count()
            stopped.process.send_signal(signal.SIGCONT)
            wait_for_more(_late(), late)
            assert _state() == before, "a late result changed what another worker had settled"
        published += publish_events(EVENTS)
        wait_until(all_delivered(len(published) * EACH))
        assert one.process.poll() is other.process.poll() is None, "both go on"
    conclude(
        "4 SIGSTOP, take-over, SIGCONT",
        ledger,
        published=published,
        deliveries_each=EACH,
        runs=stops,
        seed=seed,
        recovery_seconds=slowest,
        late_attempts=_late().count(),
    )


def _state() -> list[tuple[object, ...]]:
    deliveries = Delivery.objects.order_by("id")
    lanes = Lane.objects.order_by("id")
    return [
        *deliveries.values_list("id", "status", "attempt_count", "crash_count", "last_error", "settled_at"),
        *lanes.values_list("id", "next_sequence", "tail", "due_at", "blocked_by"),
    ]


def _late() -> "QuerySet[Attempt]":
    return Attempt.objects.filter(is_fenced=True)
