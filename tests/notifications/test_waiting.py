"""The waiter's own connection, on a real server."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from notifications import waiting
from notifications.waiting import CHANNEL, DELIVERIES, EVENTS, HUNGRY, STOP, Waiter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiter() -> Iterator[Waiter]:
    waiter = Waiter()
    yield waiter
    waiter.close()


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What DATABASE_URL says after its question mark; the connection of Django itself is open already."""
    connection.ensure_connection()
    changed = dict(connection.settings_dict["OPTIONS"])
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", changed)
    return changed


def notify(payload: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])


def listeners() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'bellwether listen'")
        return [pid for (pid,) in cursor.fetchall()]


def test_an_announcement_ends_the_wait(waiter: Waiter) -> None:
    waiter.listen()
    assert waiter.is_listening
    notify()
    assert waiter.wait(5) == {EVENTS}
    assert waiter.wait(0) == set()


def test_what_a_worker_says_to_the_others_it_does_not_hear_itself(waiter: Waiter) -> None:
    waiter.listen()
    for payload in (DELIVERIES, HUNGRY, EVENTS):
        notify(payload)
    assert waiter.wait(5) == {EVENTS}
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        other.execute("SELECT pg_notify(%s, %s)", [CHANNEL, HUNGRY])
    assert waiter.wait(5) == {HUNGRY}


def test_listening_has_the_options_of_the_database_url(waiter: Waiter, options: dict[str, object]) -> None:
    options |= {"options": "-c statement_timeout=12345", "sslmode": "disable", "sslrootcert": "/ca.pem"}
    waiter.listen()
    assert waiter._listener is not None
    assert waiter._listener.execute("SHOW statement_timeout").fetchone() == ("12345ms",)
    parameters = waiter._listener.info.get_parameters()
    assert (parameters["sslmode"], parameters["sslrootcert"]) == ("disable", "/ca.pem")


@pytest.mark.parametrize("wrong", [{"options": "-c no_such_setting=1"}, {"no_such_option": "1"}])
def test_what_cannot_listen_says_so_once_and_tries_again_each_second(
    waiter: Waiter,
    options: dict[str, object],
    wrong: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(waiting, "TRY_EVERY", 0.2)
    options |= wrong
    waiter.listen()
    assert not waiter.is_listening
    assert waiter.wait(0.01) == set()
    for name in wrong:
        del options[name]
    waiter.listen()
    assert not waiter.is_listening, "tried again at once"
    options |= wrong
    time.sleep(0.2)
    waiter.listen()
    assert caplog.text.count("not listening") == 1
    for name in wrong:
        del options[name]
    time.sleep(0.2)
    waiter.listen()
    assert waiter.is_listening
    notify()
    assert waiter.wait(5) == {EVENTS}


def test_a_listener_that_the_server_ended_is_replaced(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TRY_EVERY", 0.0)
    waiter.listen()
    [pid] = listeners()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    # The server's farewell comes first, the end of the connection second.
    assert waiter.wait(5) or waiter.wait(5), "what was announced meanwhile is unknown, so look"
    assert not waiter.is_listening
    waiter.listen()
    [other] = listeners()
    assert other != pid
    notify(STOP)
    assert waiter.wait(5) == {STOP}
    assert waiter.heard_stop
