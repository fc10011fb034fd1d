"""Fault 14: a transaction is held open, and dead rows cannot be vacuumed away."""

import json
import time
from collections import defaultdict
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from notifications.destinations import Directory
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Delivery
from tests.faults.conftest import HOSTS
from tests.faults.scene import conclude, publish_events, subscribe
from tests.faults_database.sessions import opened, speaking
from tests.model.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)

ROUND = 250  # events
EACH = 2  # deliveries of an event
# Buffers that a claim may read more for each delivery worked under the held snapshot. Each settle leaves a dead
# version of its channels, in the index by due time too, and a lease reads past them until they can be vacuumed.
GROWTH = {"lease": 1.0, "fetch": 0.5}


class Reads:
    """Counts the buffers that each of claim's statements touches, by EXPLAIN (ANALYZE, BUFFERS)."""

    def __init__(self):
        self.buffers = defaultdict(int)

    def __call__(self, execute, statement, parameters, many, context):
        name = "lease" if "SKIP LOCKED" in statement else "fetch" if "in_flight ||" in statement else ""
        if name:
            execute("SAVEPOINT before_explain", None, False, context)
            execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters, many, context)
            row = context["cursor"].fetchone()[0]
            plan = (json.loads(row) if isinstance(row, str) else row)[0]["Plan"]
            self.buffers[name] += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            execute("ROLLBACK TO SAVEPOINT before_explain", None, False, context)
        return execute(statement, parameters, many, context)


def buffers_of_a_claim():
    """Return what one lease and one fetch of a few new deliveries read; nothing of it stays."""
    reads = Reads()
    with transaction.atomic():
        looker = Worker(directory=Directory())
        with connection.execute_wrapper(reads):
            looker.lease(8)
            assert looker.fetch(4)
        transaction.set_rollback(True)
    return dict(reads.buffers)


@contextmanager
def snapshot_held():
    """Keep a transaction open that might still look at every row there is now, and at all that follow."""
    with opened(1) as [session]:
        with speaking(session):
            block = transaction.atomic()
            block.__enter__()
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT pg_current_xact_id(), count(*) FROM notifications_delivery")
        try:
            yield
        finally:
            with speaking(session):
                block.__exit__(None, None, None)


def work(events):
    """Publish and deliver so many events; return how many deliveries that were."""
    before = Delivery.objects.filter(status="delivered").count()
    published = publish_events(events, lanes=50)
    Engine(until_idle=True).run()
    return published, Delivery.objects.filter(status="delivered").count() - before


def probe(published):
    """Return what a claim reads now, and deliver what was published for asking."""
    published += publish_events(8)
    fan_out()
    found = buffers_of_a_claim()
    Engine(until_idle=True).run()
    return found


def hold_while_working(ledger, goes_on):
    """Work under a held snapshot for as long as `goes_on(rounds)` says; every round delivers all it published."""
    subscribe(HOSTS[:1], ordered=True)
    subscribe(HOSTS[1:2], ordered=False)
    published, _ = work(ROUND)
    before, worked, rounds = probe(published), 0, 0
    with snapshot_held():
        while goes_on(rounds):
            more, delivered = work(ROUND)
            assert delivered == EACH * ROUND, "work goes on"
            published += more
            worked += delivered
            rounds += 1
        after = probe(published)
    growth = {name: (after[name] - before[name]) / worked for name in before}
    conclude(
        "14 held snapshot",
        ledger,
        published=published,
        deliveries_each=EACH,
        runs=rounds,
        worked=worked,
        **{f"{name}_buffers_before": before[name] for name in before},
        **{f"{name}_buffers_after": after[name] for name in after},
    )
    assert all(growth[name] < limit for name, limit in GROWTH.items()), growth


def test_a_claim_reads_little_more_while_a_snapshot_is_held(catalog, ledger):
    hold_while_working(ledger, lambda rounds: rounds < 4)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_three_minutes_of_a_held_snapshot_slow_nothing_down(catalog, ledger):
    ends = time.monotonic() + 180
    hold_while_working(ledger, lambda _rounds: time.monotonic() < ends)
