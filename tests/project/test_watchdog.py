"""The watchdog: what counts as stuck, when it acts, and that a killed cluster delivers again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Success
from django_q.tasks import async_task

from events.models import Event, InboxEntry
from events.publish import publish
from notifications.broker import Broker, address
from notifications.models import Channel, Cluster, Runner
from notifications.nudge import DELIVERY
from notifications.pulse import BEAT
from project import product
from project.supervise import Supervisor
from project.watch import over
from project.watchdog import BEAT_EVERY, PATIENCE, SILENCE, START, Watchdog, is_stuck
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


OURS, OTHERS = "here:1:aa", "there:1:bb"
ADDRESS = address(DELIVERY, OURS)


class Clock:
    """A watchdog whose seconds pass at once, and a cluster that answers beats while `lives`."""

    def __init__(self, queue: str = DELIVERY, *, lives: bool = True) -> None:
        self.now = 1000.0
        self.lives = lives
        self.started: float | None = self.now
        self.restarts: list[float] = []
        self.said: list[str] = []
        self.watchdog = Watchdog(
            queue=queue,
            cluster=OURS,
            started_at=lambda: self.started,
            restart=self.restart,
            say=self.said.append,
            clock=lambda: self.now,
        )

    def restart(self) -> None:
        self.restarts.append(self.now)
        self.started = self.now

    def run(self, seconds: float) -> None:
        """Let it look once a second."""
        for _ in range(int(seconds)):
            self.watchdog()
            if self.lives:
                beats().delete()
            self.now += 1


def beats() -> Any:
    return OrmQ.objects.filter(pk__in=[row.pk for row in OrmQ.objects.all() if row.func() == BEAT])


def drains(queue: str) -> int:
    return sum(row.func() == "notifications.tasks.drain" for row in OrmQ.objects.filter(key=queue))


def a_runner(cluster: str) -> Runner:
    return Runner.objects.create(host="x", pid=1, cluster=cluster)


@pytest.mark.django_db(transaction=True)
class TestWhatCountsAsStuck:
    def test_an_event_that_waits_for_10_s_without_a_worker(self, old_event: Event) -> None:
        assert is_stuck(OURS)
        Event.objects.update(created_at=ago(5))
        assert not is_stuck(OURS)

    def test_a_worker_of_ours_seen_within_10_s_is_trusted(self, old_event: Event) -> None:
        runner = a_runner(OURS)
        assert not is_stuck(OURS)
        Runner.objects.filter(pk=runner.pk).update(seen_at=ago(11))
        assert is_stuck(OURS)

    def test_a_worker_of_another_host_is_no_excuse_for_ours(self, old_event: Event) -> None:
        a_runner(OTHERS)
        assert is_stuck(OURS)
        assert not is_stuck(OTHERS)

    @pytest.mark.parametrize(("due", "expected"), [(-20, True), (-5, False), (60, False)])
    def test_an_event_with_a_time_of_its_own_counts_from_then(
        self, old_event: Event, due: float, expected: bool
    ) -> None:
        InboxEntry.objects.update(due_at=ago(-due))
        assert is_stuck(OURS) is expected

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
        Channel.objects.create(endpoint=endpoint, circuit=endpoint.circuit, **{**changes, **times})
        assert is_stuck(OURS) is expected


@pytest.mark.django_db(transaction=True)
class TestDueWork:
    def test_our_cluster_is_told_by_name_then_restarted_once_and_left_alone(self, old_event: Event) -> None:
        clock = Clock()
        clock.run(1 + PATIENCE)
        assert (drains(ADDRESS), drains(DELIVERY), clock.restarts) == (1, 0, [])
        clock.run(1)
        assert clock.restarts == [1001 + PATIENCE]
        assert clock.said == ["Work is due and nothing delivers it: starting the delivery cluster anew."]
        assert drains(DELIVERY) == 1, "for whoever comes first"
        clock.run(PATIENCE - 1)
        assert len(clock.restarts) == 1

    def test_a_drain_that_was_enough_means_no_restart(self, old_event: Event) -> None:
        clock = Clock()
        clock.run(2)
        a_runner(OURS)
        clock.run(60)
        assert (drains(ADDRESS), clock.restarts) == (1, [])

    def test_another_host_that_delivers_keeps_ours_from_nothing(self, old_event: Event) -> None:
        a_runner(OTHERS)
        clock = Clock()
        clock.run(PATIENCE + 2)
        assert clock.restarts == [1001 + PATIENCE]

    def test_a_cluster_that_still_starts_is_left_to_start(self, old_event: Event) -> None:
        clock = Clock(lives=False)
        clock.run(START)
        assert (drains(ADDRESS), clock.restarts) == (0, [])

    def test_sends_that_still_end_are_not_cut(self, old_event: Event) -> None:
        clock = Clock()
        clock.run(2)
        Cluster.objects.update(busy_pids=[os.getpid()])
        clock.run(PATIENCE + 30)
        assert clock.restarts == []

    def test_work_is_no_affair_of_the_default_cluster(self, old_event: Event) -> None:
        clock = Clock("default")
        clock.run(60)
        assert (drains(ADDRESS), clock.restarts) == (0, [])


@pytest.mark.django_db(transaction=True)
class TestBeats:
    @pytest.mark.parametrize("queue", ["delivery", "default"])
    def test_a_cluster_that_answers_is_left_alone_and_on_the_record(self, queue: str) -> None:
        clock = Clock(queue)
        clock.run(300)
        assert clock.restarts == []
        cluster = Cluster.objects.get()
        assert (cluster.address, cluster.queue) == (address(queue, OURS), queue)
        clock.watchdog.end()
        assert not Cluster.objects.exists()
        assert not OrmQ.objects.exists()

    @pytest.mark.parametrize("queue", ["delivery", "default"])
    def test_one_that_answered_and_falls_silent_is_restarted_10_s_later(self, queue: str) -> None:
        clock = Clock(queue)
        clock.run(BEAT_EVERY + 3)
        proven = 1000 + BEAT_EVERY + 2
        clock.lives = False
        clock.run(60)
        assert clock.restarts[0] <= proven + SILENCE
        assert clock.restarts[1:] == [clock.restarts[0] + 1 + START], "and has 45 s to come up"
        assert clock.said[0] == f"The {queue} cluster has stood still for 10 s: starting it anew."

    def test_one_beat_that_came_through_is_enough(self) -> None:
        clock = Clock(lives=False)
        clock.run(BEAT_EVERY + 2)
        _lost, answered = beats().order_by("pk")
        answered.delete()
        clock.run(1)
        proven_at = Cluster.objects.get().proven_at
        assert proven_at > Cluster.objects.get().started_at
        clock.lives = True
        clock.run(60)
        assert clock.restarts == []

    def test_a_worker_that_lives_and_does_a_task_is_proof_and_a_dead_one_is_none(self) -> None:
        clock = Clock(lives=False)
        clock.run(1)
        Cluster.objects.update(busy_pids=[os.getpid()])
        clock.run(100)
        assert clock.restarts == []
        Cluster.objects.update(busy_pids=[no_process()])
        clock.run(SILENCE + 1)
        assert len(clock.restarts) == 1

    def test_a_dead_worker_that_nobody_collected_is_no_proof(self) -> None:
        clock = Clock(lives=False)
        clock.run(1)
        process = subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        Cluster.objects.update(busy_pids=[process.pid])
        clock.run(START + 1)
        process.wait()
        assert len(clock.restarts) == 1

    def test_a_cluster_that_does_not_run_is_not_asked(self) -> None:
        clock = Clock(lives=False)
        clock.started = None
        clock.run(100)
        assert (beats().count(), clock.restarts) == (0, [])

    def test_silence_does_not_count_while_nobody_looked(self) -> None:
        clock = Clock()
        clock.run(BEAT_EVERY + 3)
        clock.now += 3600
        clock.run(60)
        assert clock.restarts == []

    def test_a_lost_connection_is_survived_and_does_not_count(self) -> None:
        clock = Clock()
        clock.run(BEAT_EVERY + 3)
        other = connection.copy()
        with connection.cursor() as cursor, other.cursor() as killer:
            cursor.execute("SELECT pg_backend_pid()")
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", cursor.fetchone())
        other.close()
        clock.lives = False
        clock.run(SILENCE + 1)
        assert clock.restarts == []
        clock.lives = True
        clock.run(60)
        assert clock.restarts == []

    def test_what_clusters_of_the_past_left_is_cleared_away(self) -> None:
        Cluster.objects.create(address="delivery@gone", queue="delivery", host="gone", proven_at=ago(4000))
        OrmQ.objects.create(key="delivery@gone", payload="", lock=ago(4000))
        OrmQ.objects.create(key="delivery@there", payload="", lock=ago(60))
        OrmQ.objects.create(key="delivery", payload="", lock=ago(4000))
        Clock(lives=False).run(1)
        assert [row.address for row in Cluster.objects.all()] == [ADDRESS]
        assert set(OrmQ.objects.values_list("key", flat=True)) == {"delivery@there", "delivery", ADDRESS}


def no_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def processes_of(name: str, queue: str) -> list[int]:
    """Return the ids of our own processes whose environment says that they belong to this test's cluster."""
    marks = {f"WATCHDOG_TEST={name}".encode(), f"Q_CLUSTER_NAME={queue}".encode()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            ours = marks <= set((process / "environ").read_bytes().split(b"\0"))
            if ours and b"qcluster" in command and b"shim" not in command:
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


@pytest.mark.timeout(150)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the cluster's processes through /proc")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("queue", "size"), [("delivery", 6), ("default", 5)])
def test_a_cluster_whose_processes_were_killed_works_again(
    catalog, https_receiver, tmp_path: Path, queue: str, size: int
) -> None:
    WebhookSubscriptionFactory()
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    said: list[str] = []
    supervisor = Supervisor(log_dir=tmp_path, say=said.append)
    with supervisor, over(supervisor, name, said.append):
        for child in product.clusters(name, {**processes.environment(), "WATCHDOG_TEST": name}):
            supervisor.start(child)
        wait(supervisor, lambda: len(processes_of(name, queue)) >= size, START)
        wait(supervisor, lambda: False, 2, fails=False)  # One worker now holds the queue's lock.
        for pid in processes_of(name, queue)[2:]:  # All but the main process and the sentinel.
            os.kill(pid, signal.SIGKILL)

        before = {found.queue: found.proven_at for found in Cluster.objects.all()}
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
        wait(supervisor, lambda: bool(https_receiver.received), 30)
        wait(supervisor, lambda: Cluster.objects.get(queue=queue).proven_at > before[queue], 30)

    assert len(https_receiver.received) == 1
    assert not Cluster.objects.exists()


@pytest.mark.timeout(150)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the cluster's processes through /proc")
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_notes_that_a_task_is_done_is_replaced_by_its_sentinel(
    catalog, tmp_path: Path
) -> None:
    name = f"{os.getpid()}-{time.monotonic_ns()}"
    said: list[str] = []
    supervisor = Supervisor(log_dir=tmp_path, say=said.append)
    child = next(c for c in product.clusters(name, processes.environment()) if c.name == "default")
    other = connection.copy()
    with supervisor, over(supervisor, name, said.append):
        supervisor.start(child)
        async_task("time.sleep", 3, broker=Broker("default"))
        wait(supervisor, lambda: Cluster.objects.filter(busy_pids__len=1).exists(), START)
        (busy,) = Cluster.objects.get().busy_pids
        # It holds its timer's lock as it takes itself off this row.
        with closing(other), other.cursor() as cursor:
            cursor.execute("BEGIN; SELECT FROM notifications_cluster FOR UPDATE")
            wait(supervisor, lambda: is_waiting("array_remove"), 30)
            os.kill(busy, signal.SIGKILL)
            cursor.execute("ROLLBACK")

        async_task("time.sleep", 0, save=True, task_name="after", broker=Broker("default"))
        wait(supervisor, lambda: Success.objects.filter(name="after").exists(), 30)

    assert said == [], "nothing was started anew but the worker"


def is_waiting(statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                              AND datname = current_database() AND query LIKE %s)""",
            [f"%{statement}%"],
        )
        return bool(cursor.fetchone()[0])


def wait(
    supervisor: Supervisor, condition: Callable[[], bool], seconds: float, *, fails: bool = True
) -> None:
    deadline = time.monotonic() + seconds
    assert supervisor.watch(until=lambda: condition() or time.monotonic() > deadline)
    assert not fails or condition(), "waited in vain"
