"""Workers that come and go: a database that is away, and a cluster that is asked to stop."""

import mmap
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from django.db import OperationalError, connection
from django_q.models import OrmQ

from events.publish import publish
from notifications import runners, tasks
from notifications.engine import Engine
from notifications.models import Channel, Delivery, Runner
from notifications.runners import Registration
from tests.factories import WebhookSubscriptionFactory
from tests.workers import until, working

pytestmark = pytest.mark.django_db(transaction=True)

INVOICE = {"account": {"id": "1"}, "invoice": {"id": "1"}}


@contextmanager
def database_away() -> Iterator[list[int]]:
    """Lead new connections to a server that hangs up at once; what is yielded grows with each."""
    met: list[int] = []

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                client, _ = door.accept()
                client.close()
                met.append(1)

    given = connection.settings_dict
    place = {name: given[name] for name in ("HOST", "PORT")}
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=hang_up)
        thread.start()
        connection.close()
        given |= {"HOST": "127.0.0.1", "PORT": str(door.getsockname()[1])}
        try:
            yield met
        finally:
            given |= place
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(catalog, https_receiver):
    WebhookSubscriptionFactory()
    publish("invoice.posted", INVOICE)
    with ExitStack() as away:
        met = away.enter_context(database_away())
        with working():
            assert until(lambda: len(met) > 2)
            away.close()
            assert https_receiver.wait_for(1, 30)
    assert Delivery.objects.get().status == "delivered"


def test_a_database_that_is_away_as_a_worker_hands_over_costs_neither_its_sends_nor_that(
    catalog, https_receiver
):
    WebhookSubscriptionFactory()
    publish("invoice.posted", INVOICE)
    begun = threading.Event()

    def answer(_request):
        begun.set()
        time.sleep(1)
        return 204, {}, b""

    https_receiver.script = answer
    handed_over: list[bool] = []

    def hand_over() -> None:
        handed_over.append(begun.is_set())
        if len(handed_over) == 1:
            connection.close()
            raise OperationalError("server closed the connection unexpectedly")

    engine = Engine(hand_over=hand_over)
    threading.Thread(target=lambda: begun.wait(30) and engine.stop()).start()

    assert engine.run() == 1

    assert handed_over == [True, True]
    assert Delivery.objects.get().status == "delivered"
    assert not Runner.objects.exists()
    assert not Channel.objects.exclude(leased_until=None).exists()


def test_a_row_that_others_deleted_comes_back_with_the_next_beat(db):
    registration = Registration()
    assert not registration.beat()
    Runner.objects.all().delete()

    assert not registration.beat(), "it is not yet time for the next"
    assert not Runner.objects.exists()
    assert not registration.beat(now=True)
    assert Runner.objects.count() == 1
    runners.ask_to_stop("")
    assert registration.beat(now=True)
    registration.end()
    assert not Runner.objects.exists()


@pytest.fixture
def ending(monkeypatch):
    """This process is asked to stop, and forgets it with the test."""
    monkeypatch.setattr(runners, "_ending", mmap.mmap(-1, 1))


def test_a_drain_that_begins_after_its_cluster_was_asked_to_stop_leaves_the_work_to_others(
    catalog, https_receiver, ending
):
    WebhookSubscriptionFactory()
    publish("invoice.posted", INVOICE)
    OrmQ.objects.all().delete()
    runners.end_forked()

    assert tasks.drain() == 0

    assert https_receiver.received == []
    assert not Runner.objects.exists()
    assert [queued.key for queued in OrmQ.objects.all()] == ["delivery"]


def _end_once_asked():
    assert until(Registration().beat)


def test_a_worker_that_was_forked_before_hears_of_it_too(ending):
    worker = multiprocessing.get_context("fork").Process(target=_end_once_asked)
    worker.start()
    runners.end_forked()
    worker.join(30)
    assert worker.exitcode == 0
