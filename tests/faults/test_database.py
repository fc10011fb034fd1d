"""Fault 5: the database goes away: its backends ended, the server crashed, the answer to a COMMIT lost."""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import InterfaceError, OperationalError, connection

from events import catalog_cache
from notifications.models import Attempt, Delivery, Runner
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger, Rule
from tests.faults.proxy import CuttingProxy
from tests.faults.scene import (
    SHORT_LEASE,
    SHORT_TIMEOUT,
    Worker,
    all_delivered,
    conclude,
    publish_events,
    subscribe,
    wait_until,
    worker,
)
from tests.faults.server import Server, own_server

pytestmark = pytest.mark.django_db(transaction=True)

EVERY = 0.3  # seconds
EACH = 4


@contextmanager
def two_workers(variables: Mapping[str, str] | None = None) -> Iterator[tuple[Worker, Worker]]:
    """Run two workers; none of them may end by itself, whatever happens to the database."""
    with (
        worker(lease=SHORT_LEASE, variables=variables) as one,
        worker(lease=SHORT_LEASE, variables=variables) as two,
    ):
        wait_until(lambda: Runner.objects.count() == 2)
        yield one, two
        ended = [each.process.returncode for each in (one, two) if each.process.poll() is not None]
        assert not ended, f"workers ended by themselves with {ended}"


def test_backends_ended_again_and_again_cost_only_time(catalog, ledger):
    end_backends(ledger, seconds=5)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_backends_ended_for_a_minute_cost_only_time(catalog, ledger):
    end_backends(ledger, seconds=60)


def end_backends(ledger: Ledger, *, seconds: float) -> None:
    """End every backend of the workers each 300 ms while they work."""
    _subscribe(ledger)
    published: list[str] = []
    ended = 0
    with two_workers() as workers:
        published += publish_events(50)
        assert ledger.wait_for(10)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with connection.cursor() as cursor:
                cursor.execute(
                    """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database()
                         AND application_name = ANY(%s)""",
                    [[each.name for each in workers] + ["bellwether listen"]],
                )
                ended += cursor.fetchone()[0]
            published += publish_events(10)
            time.sleep(EVERY)
        took = wait_until(all_delivered(len(published) * EACH), 120)
    assert ended > seconds / EVERY / 2, "too few were ended: nothing is proven"
    _conclude("5 backends ended", ledger, published, runs=ended, recovery_seconds=took)


def test_a_crash_of_the_server_costs_only_time(ca, ledger):
    crash_server(ledger, crashes=1, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_crashes_of_the_server_cost_only_time(ca, ledger):
    # After five in a row the keeper gives a server up.
    crash_server(ledger, crashes=4, seed=random.randrange(1_000_000))


def crash_server(ledger: Ledger, *, crashes: int, seed: int) -> None:
    """Crash the server at random moments while workers send; it comes back by itself."""
    chance = random.Random(seed)
    with own_server(_binaries()) as server:
        catalog_cache.clear()
        _subscribe(ledger)
        published: list[str] = []
        slowest = 0.0
        with two_workers():
            for _ in range(crashes):
                published += publish_events(60)
                assert ledger.wait_for(ledger.count() + chance.randrange(20, 100))
                before = server.restart_immediately()
                connection.close()
                took = wait_until(partial(_is_back, server, before))
                slowest = max(slowest, took + wait_until(all_delivered(len(published) * EACH), 120))
        _conclude("5 server crashed", ledger, published, runs=crashes, recovery_seconds=slowest, seed=seed)
        connection.close()


def _is_back(server: Server, before: int) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return server.pid() != before
    except (OperationalError, InterfaceError):
        connection.close()
        return False


SETTLE, LOOK_UP = b'"attempt_id"', b'FROM "notifications_subscription"'


def test_a_connection_cut_after_commit_was_sent_writes_everything_once(catalog, ledger):
    cut_connections(ledger, cuts=8, events=80, seed=1, chance_of_any=0.0)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_connections_cut_after_any_statement_was_sent_write_everything_once(catalog, ledger):
    seed = random.randrange(1_000_000)
    cut_connections(ledger, cuts=200, events=1_500, seed=seed, chance_of_any=0.03)


def cut_connections(ledger: Ledger, *, cuts: int, events: int, seed: int, chance_of_any: float) -> None:
    """Cut the workers off when a settle or COMMIT (or, rarely, anything) is at the server, before its answer."""
    chance = random.Random(seed)
    left = cuts

    def decide(statement: bytes) -> bool:
        nonlocal left
        wanted = SETTLE in statement or statement.strip(b"\0").upper() == b"COMMIT"
        cut = left > 0 and chance.random() < (0.7 if wanted else chance_of_any)
        left -= cut
        return cut

    _subscribe(ledger)
    with _proxied(decide) as (proxy, variables):
        with two_workers(variables):
            published = publish_events(events)
            took = wait_until(all_delivered(events * EACH), 300)
        assert proxy.count > cuts / 2, "too few were cut: nothing is proven"
    _conclude("5 cut after COMMIT", ledger, published, runs=proxy.count, recovery_seconds=took, seed=seed)


def test_a_connection_cut_between_taking_and_sending_sends_nothing_twice(catalog, ledger):
    cut_before_sending(ledger, seconds=5, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_connections_cut_between_taking_and_sending_send_nothing_twice(catalog, ledger):
    cut_before_sending(ledger, seconds=60, seed=random.randrange(1_000_000))


def cut_before_sending(ledger: Ledger, *, seconds: float, seed: int) -> None:
    """Cut a worker off when it has taken deliveries and looks up how to send them, while others are sent."""
    chance = random.Random(seed)
    each = len(subscribe(HOSTS[:20], ordered=False, timeout_seconds=SHORT_TIMEOUT))
    ledger.behave(Rule(delay=0.15))
    published: list[str] = []
    with ExitStack() as stack:
        proxy, variables = stack.enter_context(
            _proxied(lambda text: LOOK_UP in text and chance.random() < 0.5)
        )
        stack.enter_context(worker(lease=SHORT_LEASE, threads=8, variables=variables))
        wait_until(lambda: Runner.objects.count() == 1)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            published += publish_events(3)
            time.sleep(0.5)
        took = wait_until(all_delivered(len(published) * each), 100)
    assert proxy.count > 0, "nothing was cut: nothing is proven"
    findings = conclude(
        "5 cut before sending",
        ledger,
        published=published,
        deliveries_each=each,
        runs=proxy.count,
        recovery_seconds=took,
        seed=seed,
    )
    assert findings.duplicates == 0


@contextmanager
def _proxied(cuts: Callable[[bytes], bool]) -> Iterator[tuple[CuttingProxy, dict[str, str]]]:
    """Run a proxy before the test's database; yield it and the variables that lead a worker to it."""
    database = connection.settings_dict
    host = database["HOST"]
    if not host.startswith("/"):
        pytest.skip("this test's proxy needs a PostgreSQL on a Unix socket")
    with CuttingProxy(server=f"{host}/.s.PGSQL.{database['PORT'] or 5432}", cuts=cuts) as proxy:
        credentials = f"{quote(database['USER'])}:{quote(database['PASSWORD'])}"
        place = f"127.0.0.1:{proxy.port}/{database['NAME']}?sslmode=disable"
        yield proxy, {"DATABASE_URL": f"postgres://{credentials}@{place}"}


def _subscribe(ledger: Ledger) -> None:
    subscribe(HOSTS[: EACH - 1], ordered=True, timeout_seconds=SHORT_TIMEOUT)
    subscribe(HOSTS[EACH - 1 : EACH], ordered=False, timeout_seconds=SHORT_TIMEOUT)
    ledger.behave(Rule(delay=0.01))


def _conclude(fault: str, ledger: Ledger, published: list[str], **figures: Any) -> None:
    conclude(fault, ledger, published=published, deliveries_each=EACH, **figures)
    # Each counted once, however often its settle was sent.
    counted = dict(Delivery.objects.values_list("pk", "attempt_count"))
    logged = Attempt.objects.filter(is_fenced=False).values_list("delivery_id", "number")
    numbers: dict[int, list[int]] = {pk: [] for pk in counted}
    for pk, number in logged:
        numbers[pk].append(number)
    assert {pk: sorted(found) for pk, found in numbers.items()} == {
        pk: list(range(1, count + 1)) for pk, count in counted.items()
    }


def _binaries() -> Path | None:
    home = os.environ.get("TEST_POSTGRES_HOME")
    return Path(home) if home else None
