"""Deploys under load: SIGTERM to what runs the clusters, to its main process or to everything at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from events.publish import publish
from notifications.engine import Engine
from notifications.models import Attempt, Channel, Cluster, Delivery, Runner
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.faults.conftest import ledger  # noqa: F401
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import conclude
from tests.processes import ROOT, environment

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the cluster's processes through /proc"),
]

LANES = 5
IN_TIME = 25.0  # seconds: a cluster's grace, and what the supervisor adds to it
SHORT, LONG = 1, pytest.param(10, marks=[pytest.mark.chaos, pytest.mark.timeout(1200)])


@contextmanager
def cluster(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py cluster` on the test's database; whatever is left of it at the end is killed."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "cluster", *arguments],
        cwd=ROOT,
        env=environment() | {"STOP_TEST": mark},
    )
    process.mark = mark  # type: ignore[attr-defined]
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pid in processes(mark):
            os.kill(pid, signal.SIGKILL)


def processes(mark: str) -> list[int]:
    """Return the ids of everything that this cluster runs, as systemd's control group would hold it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"STOP_TEST={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until(condition, seconds: float) -> None:
    gives_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < gives_up, "waited in vain"
        time.sleep(0.05)


class Load(threading.Thread):
    """Publishes until told to end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.ids: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.01):
            number += 1
            data = {"account": {"id": str(number % LANES)}, "invoice": {"id": str(number)}}
            self.ids.append(publish("invoice.posted", data).event.public_id)
        connection.close()


def end(process: subprocess.Popen[bytes], whole_group: bool) -> float:
    """Ask it to stop as a deploy does; return how many seconds it took."""
    begun = time.monotonic()
    for pid in processes(process.mark) if whole_group else [process.pid]:  # type: ignore[attr-defined]
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue  # its parent has ended it already
    assert process.wait(IN_TIME) == 0
    wait_until(lambda: not processes(process.mark), 1)  # type: ignore[attr-defined]
    return time.monotonic() - begun


@pytest.mark.parametrize("deploys", [SHORT, LONG])
@pytest.mark.parametrize("whole_group", [False, True], ids=["to the main process", "to every process"])
def test_a_deploy_under_load_repeats_nothing_and_ends_in_time(
    catalog,
    ledger: Ledger,  # noqa: F811
    whole_group: bool,
    deploys: int,
) -> None:
    WebhookSubscriptionFactory()
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), endpoint__path="/any-order")
    ledger.behave(Rule(delay=0.05))
    load = Load()
    load.start()
    seconds = []
    try:
        for _ in range(deploys):
            with cluster("--workers", "2") as process:
                assert ledger.wait_for(ledger.count() + 40, 60)
                seconds.append(end(process, whole_group))
            assert not Runner.objects.exists(), "every worker ended in good order"
            assert not Channel.objects.exclude(leased_until=None).exists(), "and gave back what it held"
            assert not Cluster.objects.exists()
    finally:
        load.over.set()
        load.join()

    ledger.behave(Rule())
    Engine(until_idle=True).run()
    found = conclude(
        "3 SIGTERM to every process" if whole_group else "3 SIGTERM to the main process",
        ledger,
        published=load.ids,
        deliveries_each=2,
        runs=deploys,
        seconds_to_stop=max(seconds),
    )
    assert found.duplicates == 0
    assert not Attempt.objects.exclude(verdict="delivered").exists()


def test_the_second_sigterm_ends_at_once_what_the_first_one_waits_for(
    catalog,
    ledger: Ledger,  # noqa: F811
) -> None:
    WebhookSubscriptionFactory(endpoint__timeout_seconds=15)
    ledger.behave(Rule(delay=14))
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
    with cluster() as process:
        assert ledger.wait_for(1, 60)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)  # They count as one within 0.4 s.
        assert process.poll() is None, "it lets the send end"
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert processes(process.mark) == []  # type: ignore[attr-defined]
    assert Delivery.objects.get().status == "pending"


def test_a_killed_cluster_is_gone_within_seconds_and_the_next_one_delivers(
    catalog,
    ledger: Ledger,  # noqa: F811
) -> None:
    WebhookSubscriptionFactory()
    with cluster() as process:
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
        assert ledger.wait_for(1, 60)
        process.kill()
        process.wait()
        wait_until(lambda: not processes(process.mark), 10)  # type: ignore[attr-defined]
    # What it held is another's when the lease ends; here nothing is in flight.
    Channel.objects.exclude(leased_until=None).update(leased_until=Now(), due_at=Now())
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "2"}})
    with cluster():
        assert ledger.wait_for(2, 30)


def test_shims_that_are_killed_and_then_the_cluster_leave_nothing_behind(catalog) -> None:
    with cluster() as process:
        # Both clusters whole: shim, main process, sentinel, workers, pusher, monitor.
        wait_until(lambda: len(processes(process.mark)) == 14, 60)  # type: ignore[attr-defined]
        for pid in processes(process.mark):  # type: ignore[attr-defined]
            if b"project.shim" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        wait_until(lambda: not processes(process.mark), 15)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_a_bare_qcluster_says_that_nothing_watches_it_and_ends_whole(
    catalog, signum: signal.Signals, status: int
) -> None:
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"],
        cwd=ROOT,
        env={**environment(), "Q_CLUSTER_NAME": "delivery", "STOP_TEST": mark},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "running." in line:
            break
    process.send_signal(signum)
    assert process.wait(20) == status
    process.stderr.close()
    wait_until(lambda: not processes(mark), 5)
    assert "Nothing watches this cluster" in lines[0]
