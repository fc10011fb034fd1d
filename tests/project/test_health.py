"""`manage.py health`: what it looks at, what it advises, and that it never waits long."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule

from events.models import Event, InboxEntry
from events.publish import publish
from notifications import schedules
from notifications.models import Channel, Cluster, Runner
from project.diagnose import Finding, diagnose
from tests.factories import EndpointFactory
from tests.processes import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def healthy(catalog: object) -> None:
    """A cluster that proved itself a moment ago, and the schedules."""
    schedules.ensure()
    Cluster.objects.create(address="delivery@here", queue="delivery", host="here")


def ago(seconds: float) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def looked(max_age: float = 60) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose(max_age=max_age)}


def faults(max_age: float = 60) -> list[str]:
    """Return the names of what is not well; each of it says what to do, and nothing else does."""
    found = looked(max_age).values()
    assert all(bool(finding.advice) != finding.is_well for finding in found)
    return [finding.name for finding in found if not finding.is_well]


def test_everything_is_well() -> None:
    assert list(looked()) == ["database", "due work", "cluster", "schedules", "tokens"]
    assert faults() == []


@pytest.mark.parametrize(
    ("age", "max_age", "expected"), [(90, 60, ["due work"]), (50, 60, []), (50, 40, ["due work"])]
)
def test_an_event_that_waits_too_long(age: float, max_age: float, expected: list[str]) -> None:
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
    Event.objects.update(created_at=ago(age))
    assert faults(max_age) == expected
    InboxEntry.objects.update(due_at=timezone.now() + timedelta(hours=1))
    assert faults(max_age) == [], "its time has not come"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, ["due work"]), ({"is_paused": True}, []), ({"due_at": timezone.now() + timedelta(hours=1)}, [])],
)
def test_a_delivery_that_waits_too_long(changes: dict[str, Any], expected: list[str]) -> None:
    endpoint: Any = EndpointFactory()
    channel = Channel.objects.filter(endpoint=endpoint).first()
    assert channel
    Channel.objects.filter(pk=channel.pk).update(**{"due_at": ago(90), **changes})
    assert faults() == expected


def test_a_cluster_is_known_by_its_proof_or_by_a_worker_at_work() -> None:
    Cluster.objects.update(proven_at=ago(50))
    assert faults() == ["cluster"]
    assert "nothing was heard from here" in looked()["cluster"].detail
    Runner.objects.create(host="there", pid=1)
    assert faults() == []


def test_the_default_queue_alone_delivers_nothing() -> None:
    Cluster.objects.update(queue="default")
    assert faults() == ["cluster"]


def test_a_schedule_that_is_missing_or_overdue_is_named() -> None:
    Schedule.objects.filter(name="bellwether: deliver").update(next_run=ago(400))
    Schedule.objects.filter(name="bellwether: partitions").delete()
    assert faults() == ["schedules"]
    assert looked()["schedules"].detail == "missing: bellwether: partitions; overdue: bellwether: deliver"
    schedules.ensure()
    Schedule.objects.update(next_run=ago(200))
    assert faults() == []


def test_a_database_that_is_not_migrated_is_looked_at_no_further() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM django_migrations WHERE app = 'notifications'")
        [number] = cursor.fetchone()
        cursor.execute("UPDATE django_migrations SET app = 'x' WHERE id = %s", [number])
        try:
            [finding] = diagnose(max_age=60)
        finally:
            cursor.execute("UPDATE django_migrations SET app = 'notifications' WHERE id = %s", [number])
    assert not finding.is_well
    assert "manage.py migrate" in finding.advice


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "health", *arguments],
        cwd=ROOT,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_says_it_to_people_and_to_programs() -> None:
    result = command()
    assert (result.returncode, [line[:4] for line in result.stdout.splitlines()]) == (0, ["OK  "] * 5)

    Cluster.objects.all().delete()
    result = command("--json")
    told = json.loads(result.stdout)
    assert (result.returncode, told["is_well"]) == (1, False)
    assert [(one["name"], one["is_well"]) for one in told["checks"]] == [
        ("database", True), ("due work", True), ("cluster", False), ("schedules", True), ("tokens", True),
    ]  # fmt: skip


@pytest.fixture
def mute_server() -> Iterator[int]:
    """A server that takes connections and never says a word, as a database that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_database_that_hangs_is_reported_and_not_waited_for(mute_server: int) -> None:
    result = command(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{mute_server}/none")
    assert result.returncode == 1
    assert result.stdout.startswith("FAIL  database: no answer within 8 s.")


def test_a_database_that_is_not_there_is_reported_with_its_reason() -> None:
    result = command(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert result.returncode == 1
    assert result.stdout.startswith("FAIL  database: connection failed")
    assert "DATABASE_URL" in result.stdout
