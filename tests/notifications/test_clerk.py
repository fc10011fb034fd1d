"""Settling beside the loop."""

import threading

import pytest
from django.db import connection

from notifications.clerk import Clerk
from tests.workers import until


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.fixture
def clerk():
    ended = threading.Event()
    made = Clerk(on_report=ended.set)
    made.ended = ended
    yield made
    made.close()


@pytest.mark.django_db(transaction=True)
def test_a_job_is_done_on_another_connection_while_the_loop_goes_on(clerk):
    seen, gate = [], threading.Event()

    def job():
        gate.wait(30)
        seen.append(backend())

    future = clerk.begin(job)

    assert (future.done(), seen) == (False, [])
    gate.set()
    assert clerk.ended.wait(30)
    assert future.done()
    assert len(seen) == 1
    assert seen[0] != backend()


@pytest.mark.django_db(transaction=True)
def test_a_failure_reaches_the_loop_and_the_next_job_has_a_connection_that_works(clerk):
    seen = []

    def cut_off():
        seen.append(backend())
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    future = clerk.begin(cut_off)
    with pytest.raises(Exception, match="terminat"):
        future.result()

    clerk.begin(lambda: seen.append(backend())).result()
    assert len(set(seen)) == 2


@pytest.mark.django_db(transaction=True)
def test_closing_ends_its_connection():
    made, seen = Clerk(on_report=lambda: None), []
    made.begin(lambda: seen.append(backend())).result()

    made.close()

    def is_gone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", seen)
            return cursor.fetchone()[0] == 0

    assert until(is_gone)
