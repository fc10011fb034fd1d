"""The watchdog: what counts as stuck, when it acts, and that a killed cluster delivers again."""

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from events.models import Event, InboxEntry
from events.publish import publish
from notifications.models import Channel, Runner
from project import product
from project.supervise import Child, Supervisor
from project.watchdog import PATIENCE, REST, START, Watchdog, is_stuck
from tests import processes
from tests.factories import EndpointFactory, WebhookSubscriptionFactory


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


@pytest.fixture
def old_event(catalog: object) -> Event:
    """An event that has waited in the inbox for 20 s."""
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
    Event.objects.update(created_at=ago(20))
    OrmQ.objects.all().delete()
    return Event.objects.get()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.restarts: list[float] = []
        self.said: list[str] = []
        self.watchdog = Watchdog(
            restart=lambda: self.restarts.append(self.now), say=self.said.append, clock=lambda: self.now
        )

    def run(self, seconds: float) -> None:
        """Let it look once a second."""
        for _ in range(int(seconds)):
            self.watchdog()
            self.now += 1


@pytest.mark.django_db(transaction=True)
class TestWhatCountsAsStuck:
    def test_an_event_that_waits_for_10_s_without_a_worker(self, old_event: Event) -> None:
        assert is_stuck()
        Event.objects.update(created_at=ago(5))
        assert not is_stuck()

    def test_a_worker_seen_within_10_s_is_trusted(self, old_event: Event) -> None:
        runner = Runner.objects.create(host="x", pid=1)
        assert not is_stuck()
        Runner.objects.filter(pk=runner.pk).update(seen_at=ago(11))
        assert is_stuck()

    @pytest.mark.parametrize(("due", "expected"), [(-20, True), (-5, False), (60, False)])
    def test_an_event_with_a_time_of_its_own_counts_from_then(
        self, old_event: Event, due: float, expected: bool
    ) -> None:
        InboxEntry.objects.update(due_at=ago(-due))
        assert is_stuck() is expected

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"due_at": -20}, True),
            ({"due_at": -5}, False),
            ({"due_at": 60}, False),
            ({}, False),
            ({"due_at": -20, "is_paused": True}, False),
            ({"due_at": -20, "not_before": 60}, False),
            ({"due_at": -1, "leased_until": -1, "owner": "a dead worker"}, True),
            ({"due_at": 9, "leased_until": 9, "owner": "a dead worker"}, False),
        ],
    )
    def test_a_channel_that_is_due(self, catalog: object, changes: dict[str, object], expected: bool) -> None:
        endpoint: Any = EndpointFactory()
        Channel.objects.filter(endpoint=endpoint).delete()
        times = {name: ago(-value) for name, value in changes.items() if type(value) is int}
        Channel.objects.create(endpoint=endpoint, **{**changes, **times})
        assert is_stuck() is expected


@pytest.mark.django_db(transaction=True)
class TestWhenItActs:
    def test_it_queues_a_drain_then_restarts_once_and_holds_still(self, old_event: Event) -> None:
        clock = Clock()
        clock.run(START)
        assert OrmQ.objects.count() == 0
        clock.run(PATIENCE)
        assert (OrmQ.objects.count(), clock.restarts) == (1, [])
        clock.run(1)
        assert clock.restarts == [1000 + START + PATIENCE]
        assert clock.said == ["Work is due and nothing delivers it: starting the delivery cluster anew."]
        assert OrmQ.objects.count() == 2
        clock.run(REST + PATIENCE - 1)
        assert len(clock.restarts) == 1

    def test_a_drain_that_was_enough_means_no_restart(self, old_event: Event) -> None:
        clock = Clock()
        clock.run(START + 1)
        InboxEntry.objects.all().delete()
        clock.run(60)
        assert (OrmQ.objects.count(), clock.restarts) == (1, [])

    def test_a_lost_connection_is_survived(self, old_event: Event) -> None:
        clock = Clock()
        clock.run(START + 1)
        other = connection.copy()
        with connection.cursor() as cursor, other.cursor() as killer:
            cursor.execute("SELECT pg_backend_pid()")
            killer.execute("SELECT pg_terminate_backend(%s)", cursor.fetchone())
        other.close()
        clock.run(PATIENCE + 2)
        assert len(clock.restarts) == 1


def processes_of(name: str) -> list[int]:
    """Return the ids of our own processes whose environment says that they belong to this test's cluster."""
    mark = f"WATCHDOG_TEST={name}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            ours = mark in (process / "environ").read_bytes().split(b"\0")
            if ours and b"qcluster" in command and b"shim" not in command:
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


@pytest.mark.timeout(150)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the cluster's processes through /proc")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "victims", ["workers", pytest.param("all but the main process", marks=pytest.mark.chaos)]
)
def test_a_cluster_whose_processes_were_killed_delivers_again(
    catalog, https_receiver, tmp_path: Path, victims: str
) -> None:
    WebhookSubscriptionFactory()
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    said: list[str] = []
    supervisor = Supervisor(log_dir=tmp_path, say=said.append)
    supervisor.each_second = Watchdog(
        restart=lambda: supervisor.restart(product.DELIVERY, at_once=True), say=said.append
    )
    with supervisor:
        supervisor.start(
            Child(
                name=product.DELIVERY,
                command=(sys.executable, "manage.py", "qcluster"),
                environment={
                    **processes.environment(), "Q_CLUSTER_NAME": product.DELIVERY, "WATCHDOG_TEST": name,
                },
                grace=5,
            )
        )  # fmt: skip
        wait(supervisor, lambda: len(processes_of(name)) >= 6, START)
        wait(supervisor, lambda: False, 2, fails=False)  # One worker now holds the queue's lock.
        _main, sentinel, *rest = processes_of(name)
        for pid in rest if victims == "workers" else [sentinel, *rest]:
            os.kill(pid, signal.SIGKILL)

        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
        wait(supervisor, lambda: bool(https_receiver.received), 40)

    assert len(https_receiver.received) == 1


def wait(
    supervisor: Supervisor, condition: Callable[[], bool], seconds: float, *, fails: bool = True
) -> None:
    deadline = time.monotonic() + seconds
    assert supervisor.watch(until=lambda: condition() or time.monotonic() > deadline)
    assert not fails or condition(), "waited in vain"
