"""Fault 6: more wake-ups than anybody needs, and two clusters as two hosts on one database."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from notifications import runners
from notifications.broker import address
from notifications.models import Attempt, Runner
from notifications.nudge import start_drain
from tests.faults.conftest import HOSTS
from tests.faults.hosts import Host, two_hosts
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import all_delivered, conclude, publish_events, subscribe, wait_until
from tests.processes import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)

DRAINS = 20
Q_WORKERS = 4  # a cluster, so that many drains do run at once


def test_twenty_duplicate_drains_send_nothing_twice(catalog, ledger):
    run_duplicates(ledger, events=50)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_twenty_duplicate_drains_send_nothing_twice_under_load(catalog, ledger):
    run_duplicates(ledger, events=2_000)


def run_duplicates(ledger: Ledger, *, events: int) -> None:
    """Queue twenty drains for one cluster of four workers, before it starts and while it works."""
    each = _subscribe(ledger)
    for _ in range(DRAINS // 2):
        start_drain()
    with cluster("one") as process:
        wait_until(lambda: Runner.objects.count() == Q_WORKERS)
        published = publish_events(events)
        for _ in range(DRAINS // 2):
            start_drain()
        took = wait_until(all_delivered(events * each), 300)
        assert Runner.objects.count() <= Q_WORKERS
        _end(process, "one")
    _conclude("6 duplicate drains", ledger, published, each, runs=DRAINS, recovery_seconds=took)
    assert Attempt.objects.values("worker").distinct().count() > 1, "several drains sent"


def test_two_hosts_share_one_database_and_send_nothing_twice(catalog, ledger):
    run_two_hosts(ledger, events=300)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_two_hosts_share_one_database_and_send_nothing_twice_under_load(catalog, ledger):
    run_two_hosts(ledger, events=2_000)


def run_two_hosts(ledger: Ledger, *, events: int) -> None:
    """Run a cluster on each of two hosts; both work, and neither does the other's work again."""
    each = _subscribe(ledger)
    with two_hosts() as hosts, ExitStack() as stack:
        names = {host.name for host in hosts}
        processes = {
            host.name: stack.enter_context(cluster(host.name, host=host, ledger=ledger)) for host in hosts
        }
        for _ in range(DRAINS):  # the first cluster that is up takes as many as it can
            start_drain()
        for name in names:
            start_drain(address("delivery", name))
        wait_until(lambda: set(Runner.objects.values_list("host", flat=True)) == names)
        published = publish_events(events)
        took = wait_until(all_delivered(events * each), 300)
        for name, process in processes.items():
            _end(process, name)
    _conclude("6 two hosts", ledger, published, each, runs=1, recovery_seconds=took)
    workers = Attempt.objects.values_list("worker", flat=True).distinct()
    assert {name.split(":")[0] for name in workers} == names, "both hosts sent"


def _subscribe(ledger: Ledger) -> int:
    """Subscribe enough endpoints for everybody; return how many deliveries an event becomes."""
    ledger.behave(Rule(delay=0.01))
    return len([*subscribe(HOSTS[:10], ordered=True), *subscribe(HOSTS[10:20], ordered=False)])


def _conclude(fault: str, ledger: Ledger, published: list[str], each: int, **figures: Any) -> None:
    findings = conclude(fault, ledger, published=published, deliveries_each=each, **figures)
    assert findings.duplicates == 0
    assert Attempt.objects.count() == len(published) * each


@contextmanager
def cluster(
    name: str, *, host: Host | None = None, ledger: Ledger | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a delivery cluster, on another host if one is given; its process group is killed at the end."""
    variables = {
        "Q_CLUSTER_NAME": "delivery",
        "Q_WORKERS": str(Q_WORKERS),
        runners.CLUSTER_VARIABLE: name,
    }
    prefix: Sequence[str] = ()
    if host and ledger:
        variables["OUTBOUND_CONNECT_TO"] = ",".join(ledger.connect_to(host.gateway))
        prefix = host.prefix
    process = subprocess.Popen(
        [*prefix, sys.executable, "manage.py", "qcluster"],
        cwd=ROOT,
        env=environment() | variables,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end(process: subprocess.Popen[bytes], name: str) -> None:
    process.send_signal(signal.SIGTERM)

    def ended() -> bool:
        # Again and again: django-q2 still starts the tasks that it has taken from its queue.
        runners.ask_to_stop(name)
        return process.poll() is not None

    wait_until(ended, 30)
    assert process.returncode == 0
