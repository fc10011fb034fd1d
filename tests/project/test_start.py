"""What a process that only delivers refuses to start without, and what it does not wait for."""

from typing import Any

import pytest
from django.core.checks import Tags
from django.core.management.base import BaseCommand, SystemCheckError

from notifications.management.commands import deliver
from project.management.commands import cluster, qcluster


@pytest.fixture(params=[deliver, cluster, qcluster])
def command(request: pytest.FixtureRequest) -> BaseCommand:
    found: BaseCommand = request.param.Command()
    return found


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRETS_KEYS", [], "project.E002"),
        ("OUTBOUND_CONNECT_TO", ["a.example.test:443=127.0.0.1:1"], "project.E004"),
        ("OUTBOUND_PROXY", "socks5://proxy", "project.E007"),
        ("DELIVERY_LEASE_SECONDS", 1, "notifications.E001"),
        ("Q_CLUSTER", {}, "notifications.E004"),
    ],
)
def test_nothing_delivers_with_a_setting_that_breaks_a_promise(
    command: BaseCommand, settings: Any, name: str, value: object, expected: str
) -> None:
    settings.OUTBOUND_CONNECT_TO_ALLOWED = False
    setattr(settings, name, value)

    with pytest.raises(SystemCheckError, match=expected):
        command.check(tags=command.requires_system_checks)


def test_a_process_that_delivers_does_not_wait_for_the_pages(command: BaseCommand) -> None:
    assert not {Tags.urls, Tags.templates, Tags.admin} & set(command.requires_system_checks)
