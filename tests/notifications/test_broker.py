"""The queue in the database: whose a task is, in which order, by whose clock, and without a database."""

import threading
from contextlib import closing
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ

from notifications import broker
from notifications.broker import Broker, address
from notifications.runners import CLUSTER_VARIABLE

pytestmark = pytest.mark.django_db(transaction=True)

OURS, OTHERS = "here:1:aa", "there:1:bb"


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLUSTER_VARIABLE, OURS)


def take() -> list[str]:
    with closing(Broker(list_key="delivery")) as queue:
        return [payload for _, payload in queue.dequeue() or []]


def test_what_is_addressed_to_us_comes_first_and_what_is_addressed_to_others_never() -> None:
    Broker(list_key="delivery").enqueue("anybody's, the first")
    Broker(list_key="delivery").enqueue("anybody's, the second")
    Broker(list_key=address("delivery", OTHERS)).enqueue("theirs")
    Broker(list_key=address("default", OURS)).enqueue("of our other cluster")
    Broker(list_key=address("delivery", OURS)).enqueue("ours")

    assert [take() for _ in range(4)] == [["ours"], ["anybody's, the first"], ["anybody's, the second"], []]


def test_an_unnamed_cluster_takes_what_is_anybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CLUSTER_VARIABLE)
    Broker(list_key="delivery@").enqueue("nobody's")
    Broker(list_key="delivery").enqueue("anybody's")

    assert [take(), take()] == [["anybody's"], []]


@pytest.mark.parametrize("wrong_by", [timedelta(minutes=10), timedelta(minutes=-10)])
def test_a_wrong_clock_of_this_host_changes_nothing(wrong_by: timedelta) -> None:
    with time_machine.travel(timezone.now() + wrong_by):
        Broker(list_key="delivery").enqueue("a task")
        assert [take(), take()] == [["a task"], []]
    locked_until = OrmQ.objects.get().lock
    assert isinstance(locked_until, datetime)
    assert timedelta(0) < locked_until - timezone.now() < timedelta(hours=1)


def test_a_task_that_was_done_is_gone() -> None:
    task = Broker(list_key="delivery").enqueue("a task")
    Broker(list_key="delivery").acknowledge(task)
    assert not OrmQ.objects.exists()


def test_a_lost_connection_costs_a_second_and_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_AGAIN", 0.01)
    queue = Broker(list_key="delivery")
    task = queue.enqueue("a task")
    lose_connection()
    assert queue.dequeue() is None
    assert queue.dequeue() == [(task, "a task")]
    lose_connection()
    queue.acknowledge(task)
    assert not OrmQ.objects.exists()


def lose_connection() -> None:
    other = connection.copy()
    with connection.cursor() as cursor, other.cursor() as killer:
        cursor.execute("SELECT pg_backend_pid()")
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", cursor.fetchone())
    other.close()


def test_a_task_is_taken_as_soon_as_it_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the announcement this test would last for as long as `poll` says.
    monkeypatch.setattr(Conf, "POLL", 100)

    def add() -> None:
        Broker(list_key="delivery").enqueue("a task")
        connection.close()

    with closing(Broker(list_key="delivery")) as queue:
        later = threading.Timer(0.3, add)
        later.start()
        assert queue.dequeue() is None
        assert [payload for _, payload in queue.dequeue() or []] == ["a task"]
        later.join()
