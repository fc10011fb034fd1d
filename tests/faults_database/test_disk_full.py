"""Fault 15: the database's disk is full."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import OperationalError
from psycopg.errors import DiskFull

from events.models import Event, InboxEntry
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Delivery
from tests.faults.conftest import HOSTS
from tests.faults.scene import conclude, publish_events, subscribe
from tests.faults_database.postgres import Server, database_at, servers

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = "96m"
EACH = 2  # deliveries of an event


@pytest.fixture
def small() -> Iterator[Server]:
    """A server on a small disk; its log of changes is elsewhere, for without that PostgreSQL just stops."""
    with servers(2) as [server, elsewhere], small_disk(server):
        server.initialise(wal=elsewhere.home / "wal")
        server.start(max_wal_size="256MB")
        server.copy_database()
        yield server
        server.kill()


@contextmanager
def small_disk(server: Server) -> Iterator[None]:
    """Mount a small disk at its folder. Where that may not be it skips by name; but never as root in CI."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(server.home)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        reason = f"no small disk can be mounted here: {made.stderr.strip()}"
        if os.geteuid() == 0 and os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        server.own(server.home)
        yield
    finally:
        server.kill()
        subprocess.run(["umount", str(server.home)], check=True)


def fill(folder: Path, *, leave: int) -> None:
    """Fill the disk until about so many bytes are left."""
    with (folder / "ballast").open("ab", buffering=0) as file, suppress(OSError):
        while os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize > leave:
            file.write(b"x" * 4096)


def counts():
    return Event.objects.count(), InboxEntry.objects.count(), Delivery.objects.count()


def until_refused(step: Callable[[], None]) -> None:
    """Do it again and again, until the caller hears that the disk is full; that try has left nothing behind."""
    for _ in range(400):
        before = counts()
        try:
            step()
        except OperationalError as error:
            refusal = error
            break
    else:
        raise AssertionError("the disk was not filled")
    assert isinstance(refusal.__cause__, DiskFull)
    assert counts() == before, "nothing half done"


def test_a_full_disk_refuses_loudly_leaves_nothing_half_done_and_is_over_when_there_is_room(
    catalog, ledger, small
):
    with database_at(str(small.home)):
        subscribe(HOSTS[:1], ordered=True)
        subscribe(HOSTS[1:2], ordered=False)
        published = publish_events(100)
        Engine(until_idle=True).run()
        fill(small.home, leave=600_000)
        until_refused(lambda: published.extend(publish_events(50)))
        fill(small.home, leave=0)
        assert InboxEntry.objects.exists()
        until_refused(lambda: fan_out(limit=100))
        assert InboxEntry.objects.exists(), "they wait for room"
        (small.home / "ballast").unlink()

        published += publish_events(10)
        Engine(until_idle=True).run()

        assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
        assert counts() == (len(published), 0, EACH * len(published))
        conclude("15 disk full", ledger, published=published, deliveries_each=EACH, runs=1)
