"""What the system checks of the installation refuse."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import CheckMessage
from django.db import connection

from project import checks


def ids(messages: Any) -> list[str | None]:
    found: list[CheckMessage] = list(messages)
    assert all(message.hint for message in found)
    return [message.id for message in found]


def test_good_keys_pass(settings: Any) -> None:
    settings.SECRETS_KEYS = [Fernet.generate_key().decode(), Fernet.generate_key().decode()]

    assert ids(checks.check_keys()) == []


def test_missing_keys_are_named(settings: Any) -> None:
    settings.SECRET_KEY = ""
    settings.SECRETS_KEYS = []

    assert ids(checks.check_keys()) == ["project.E001", "project.E002"]


def test_a_malformed_key_is_named_by_its_position_and_never_shown(settings: Any) -> None:
    settings.SECRETS_KEYS = [Fernet.generate_key().decode(), "not-a-fernet-key", "é"]

    messages = list(checks.check_keys())

    assert [message.id for message in messages] == ["project.E003"] * 2
    assert messages[0].msg == "Entry 2 of SECRETS_KEYS is not a Fernet key."
    assert "not-a-fernet-key" not in str(messages)


@pytest.mark.parametrize(
    ("debug", "stated", "expected"),
    [(False, False, ["project.E004"]), (True, False, []), (False, True, [])],
)
def test_redirected_webhooks_are_for_development_unless_stated_outright(
    settings: Any, debug: bool, stated: bool, expected: list[str]
) -> None:
    settings.OUTBOUND_CONNECT_TO = ["hooks.example.com:443=127.0.0.1:8443"]
    settings.DEBUG = debug
    settings.OUTBOUND_CONNECT_TO_ALLOWED = stated

    assert ids(checks.check_outbound()) == expected


def test_a_connection_pool_is_refused(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(checks.check_pool()) == []
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", {"pool": True})

    assert ids(checks.check_pool()) == ["project.E005"]


@pytest.mark.django_db
def test_a_database_that_may_forget_is_refused_outside_tests(settings: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    settings.DURABILITY_NOT_NEEDED = False
    assert "project.E006" in ids(checks.check_durability(databases=["default"]))
    assert ids(checks.check_durability(databases=None)) == []

    settings.DURABILITY_NOT_NEEDED = True
    assert ids(checks.check_durability(databases=["default"])) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [("", []), ("http://proxy.example.net:3128", []), ("https://u:pl4nted@proxy", ["project.E007"])],
)
def test_a_proxy_that_callouts_cannot_leave_through_stops_the_start(
    settings: Any, url: str, expected: list[str]
) -> None:
    settings.OUTBOUND_PROXY = url
    messages = list(checks.check_proxy())
    assert [message.id for message in messages] == expected
    assert "pl4nted" not in str(messages)
