"""Fault 17: the primary dies in the middle of a claim, and its streaming replica is promoted."""

import random
import time
from contextlib import ExitStack

import pytest
from django.db import connection

from notifications.models import Channel
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Rule
from tests.faults.scene import all_delivered, conclude, publish_events, subscribe, wait_until, worker
from tests.faults_database.postgres import database_at, servers
from tests.faults_database.proxy import Proxy

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = 150
EACH = 2  # deliveries of an event
WORKERS = 2


def fail_over(ledger, *, seed: int) -> None:
    """Kill the primary while workers claim, promote the replica, and switch the workers over."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        primary, replica = stack.enter_context(servers(2))
        proxy = stack.enter_context(Proxy())
        primary.initialise()
        primary.start()
        primary.copy_database()
        replica.copy_of(primary)
        replica.start()
        # What is acknowledged is on both from here on.
        primary.set(synchronous_standby_names="*", synchronous_commit="on")
        proxy.lead_to(primary.home)
        stack.enter_context(database_at("127.0.0.1", proxy.port))
        subscribe(HOSTS[:1], ordered=True)
        subscribe(HOSTS[1:2], ordered=False)
        ledger.behave(Rule(delay=0.01))
        published = publish_events(EVENTS)
        for _ in range(WORKERS):
            stack.enter_context(worker())
        assert ledger.wait_for(chance.randrange(20, EVENTS), 60)
        time.sleep(chance.random() * 0.02)

        primary.kill()
        proxy.lead_to(None)
        began = time.monotonic()
        replica.promote()
        may_repeat = in_flight(replica)
        assert may_repeat, "nothing was in flight: nothing is proven"
        proxy.lead_to(replica.home)
        connection.close()
        published += publish_events(20)
        wait_until(all_delivered(EACH * len(published)), 100)
        recovery = time.monotonic() - began

        arrivals = [line.webhook_id for line in ledger.lines()]
        again = {each for each in arrivals if arrivals.count(each) > 1}
        assert again <= may_repeat, "twice came only what was in flight"
        assert not Channel.objects.exclude(in_flight=[]).exists()
        conclude(
            "17 failover",
            ledger,
            published=published,
            deliveries_each=EACH,
            may_repeat=may_repeat,
            runs=1,
            seed=seed,
            recovery_seconds=recovery,
        )


def in_flight(server) -> set[str]:
    """Return what the server knows to be in flight, as public ids."""
    with server.connect() as superuser:
        rows = superuser.execute(
            """SELECT 'dlv_' || replace(d.uid::text, '-', '') FROM notifications_delivery d
               WHERE EXISTS (SELECT FROM notifications_channel c WHERE d.id = ANY (c.in_flight))"""
        )
        return {row[0] for row in rows}


def test_a_promoted_replica_goes_on_with_all_that_was_acknowledged(catalog, ledger):
    fail_over(ledger, seed=3)


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(20))
def test_wherever_the_primary_dies_nothing_is_lost(catalog, ledger, seed):
    fail_over(ledger, seed=seed)
