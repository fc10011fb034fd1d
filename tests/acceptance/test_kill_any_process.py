"""`manage.py up` as it runs, with each kind of its processes killed: it delivers again, and nobody helps."""

import http.client
import itertools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper

from events.models import EventType, Grant, Queue, Route
from notifications.models import Cluster, Delivery, Runner
from project import embedded, keys
from tests.factories import WebhookSubscriptionFactory
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger
from tests.faults.scene import conclude
from tests.project.test_up import Product, copied, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the product's processes through /proc")

WITHIN = 30.0  # seconds, promised
PATIENCE = 90.0  # seconds: when a test that proves no figure gives up
TRICKLE, PROBE = "trickle", "probe"
LOGS = {"worker": "ready for work at", "monitor": "monitoring at", "pusher": "pushing tasks at"}
CLUSTER_KINDS = ("main", "sentinel", "idle worker", "busy worker", "pusher", "monitor", "shim")
KINDS = [
    ("web", "main"), ("web", "worker"), ("web", "shim"),
    *(("delivery", kind) for kind in CLUSTER_KINDS),
    *(("default", kind) for kind in CLUSTER_KINDS if kind != "busy worker"),
    ("database", "postmaster"), ("database", "keeper"),
]  # fmt: skip
# Those of one line do not depend on each other, and are killed together where time is short.
TOGETHER = [
    [("web", "main"), ("delivery", "main"), ("default", "main")],
    [("web", "worker"), ("delivery", "sentinel"), ("default", "sentinel")],
    [("web", "shim"), ("delivery", "shim"), ("default", "shim")],
    [("delivery", "idle worker"), ("default", "idle worker")],
    [("delivery", "pusher"), ("default", "pusher")],
    [("delivery", "monitor"), ("default", "monitor")],
    [("delivery", "busy worker")],
    [("database", "postmaster")],
    [("database", "keeper")],
]


class Town:
    """The running product, a trickle of events on one queue, and probes on another."""

    def __init__(self, checkout: Path, product: Product, ledger: Ledger) -> None:
        self.checkout, self.product, self.ledger = checkout, product, ledger
        found = re.search(r"(?m)^ +API key +(\S+)", product.output.read_text())
        assert found
        self._key = found[1]
        self._numbers = itertools.count(1)
        self.published: list[str] = []
        self._over = threading.Event()
        self._trickle = threading.Thread(target=self._publish_on, daemon=True)

    def __enter__(self) -> "Town":
        for name, host in ((TRICKLE, HOSTS[1]), (PROBE, HOSTS[2])):
            queue = Queue.objects.create(name=name, is_ordered=True)
            Route.objects.create(queue=queue, event_type=EventType.objects.get(code="invoice.posted"))
            grant = Grant.objects.first()
            assert grant
            Grant.objects.create(subscriber=grant.subscriber, queue=queue, can_create=True)
            WebhookSubscriptionFactory(queue=queue, endpoint__base_url=f"https://{host}")
        self.probe(PATIENCE)
        self._trickle.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._trickle.join(PATIENCE)

    def probe(self, seconds: float) -> float:
        """Publish an event and return after how many seconds it had arrived."""
        begun = time.monotonic()
        event = self.publish(PROBE, seconds)
        while not any(line.event_id == event and line.is_accepted for line in self.ledger.lines()):
            assert time.monotonic() - begun < seconds, f"{event} did not arrive"
            time.sleep(0.1)
        return time.monotonic() - begun

    def publish(self, queue: str, seconds: float) -> str:
        """Publish through the API as a billing system does: again, with the same key, until it is accepted."""
        number = next(self._numbers)
        body = {
            "type": "invoice.posted",
            "queue": queue,
            "data": {"account": {"id": str(number % 4)}, "invoice": {"id": str(number)}},
        }
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json",
                   "Idempotency-Key": f"town-{number}"}  # fmt: skip
        gives_up = time.monotonic() + seconds
        while True:
            web = http.client.HTTPConnection("127.0.0.1", self.product.port, timeout=5)
            try:
                web.request("POST", "/api/v1/events/", json.dumps(body), headers)
                response = web.getresponse()
                answer = response.read()
                if response.status in (200, 201):
                    self.published.append(json.loads(answer)["id"])
                    return self.published[-1]
            except (OSError, http.client.HTTPException):
                answer = b"no answer"
            finally:
                web.close()
            assert time.monotonic() < gives_up, answer
            time.sleep(0.1)

    def _publish_on(self) -> None:
        while not self._over.wait(0.05):
            self.publish(TRICKLE, PATIENCE)

    def kill(self, part: str, kind: str) -> None:
        """Kill one process of this kind."""
        victim = self.wait_for(lambda: self._find(part, kind))
        os.kill(victim, signal.SIGKILL)

    def _find(self, part: str, kind: str) -> int | None:
        running = processes(self.checkout)
        if part == "database":
            name = "/bin/postgres -D" if kind == "postmaster" else "project.keeper"
            return next((pid for pid, command in running.items() if name in command), None)
        target = "gunicorn" if part == "web" else "manage.py qcluster"
        family = [pid for pid, command in running.items() if target in command and queue_of(pid, part)]
        shim = next((pid for pid in family if "project.shim" in running[pid]), None)
        main = next((pid for pid in family if parent(pid) == shim), None)
        below = sorted(pid for pid in family if parent(pid) == main)
        if kind in ("shim", "main"):
            return shim if kind == "shim" else main
        if part == "web" or kind == "sentinel":
            return below[0] if below else None
        role = kind.rsplit(maxsplit=1)[-1]
        log = (self.checkout / "var" / "logs" / f"{part}.log").read_text()
        found = [pid for pid in map(int, re.findall(rf"{LOGS[role]} (\d+)", log)) if pid in family]
        if role == "worker" and part == "delivery":
            busy = set(Runner.objects.values_list("pid", flat=True))
            found = [pid for pid in found if (pid in busy) == (kind == "busy worker")]
        return found[-1] if found else None

    def wait_for(self, look: Callable[[], Any]) -> Any:
        """Wait until it finds something."""
        gives_up = time.monotonic() + PATIENCE
        while True:
            try:
                if found := look():
                    return found
            except Error:
                connection.close()
            assert time.monotonic() < gives_up, "waited in vain"
            time.sleep(0.1)

    def wait_until_proven(self, since: object) -> None:
        """Wait until both clusters have shown that they live."""
        self.wait_for(lambda: Cluster.objects.filter(proven_at__gt=since).count() == 2)

    def now(self) -> object:
        """Return the database's time."""

        def read() -> object:
            with connection.cursor() as cursor:
                cursor.execute("SELECT clock_timestamp()")
                return cursor.fetchone()[0]

        return self.wait_for(read)

    def settle(self) -> None:
        """End the trickle, and wait until everything has arrived."""
        self._over.set()
        self._trickle.join(PATIENCE)
        self.wait_for(lambda: Delivery.objects.filter(status="delivered").count() == len(self.published))


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def queue_of(pid: int, part: str) -> bool:
    """Whether the process belongs to this part of the product."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return part == "web" or f"Q_CLUSTER_NAME={part}".encode() in environment


@pytest.fixture
def town(
    tmp_path: Path, ca, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch, settings, django_db_blocker
) -> Iterator[Town]:
    ledgers = tmp_path / "ledger"
    ledgers.mkdir()
    with (
        Ledger(ca=ca, hosts=HOSTS, folder=ledgers) as ledger,
        copied(tmp_path / "checkout") as checkout,
        django_db_blocker.unblock(),
    ):
        monkeypatch.setenv("OUTBOUND_CA_BUNDLE", str(ca_bundle))
        monkeypatch.setenv("OUTBOUND_CONNECT_TO", ",".join(ledger.connect_to()))
        monkeypatch.setenv("OUTBOUND_CONNECT_TO_ALLOWED", "1")
        product = Product(checkout, 0, "--port", "18740")
        before = connections["default"]
        try:
            product.wait_until_ready()
            # The factories and the oracle look at the product's own database, with its own keys.
            settings.SECRETS_KEYS = [keys.stored(checkout / "var", "secrets_key")]
            entry = {**before.settings_dict, **embedded.connection_settings(checkout / "var")}
            connections["default"] = DatabaseWrapper(entry)
            with Town(checkout, product, ledger) as found:
                yield found
            product.process.terminate()
            assert product.process.wait(60) == 0
            assert processes(checkout) == {}
        finally:
            connections["default"].close()
            connections["default"] = before
            product.process.kill()
            product.process.wait()


def kill_each(town: Town, rounds: list[list[tuple[str, str]]]) -> list[float]:
    """Kill what each round names, and return after how many seconds a new event had arrived."""
    seconds = []
    town.wait_until_proven(town.now())
    for victims in rounds:
        for part, kind in victims:
            town.kill(part, kind)
        seconds.append(town.probe(PATIENCE))
        town.wait_until_proven(town.now())
    town.settle()
    return seconds


@pytest.mark.timeout(600)
def test_each_kind_of_process_may_be_killed(town: Town) -> None:
    seconds = kill_each(town, TOGETHER)

    conclude(
        "2 kill -9 of each kind, together",
        town.ledger,
        published=town.published,
        runs=len(TOGETHER),
        recovery_seconds=max(seconds),
    )


@pytest.mark.chaos
@pytest.mark.timeout(5400)
def test_each_kind_of_process_may_be_killed_alone_again_and_again(town: Town) -> None:
    order = KINDS * 3
    seconds = kill_each(town, [[one] for one in order])

    for (part, kind), figure in zip(order, seconds, strict=True):
        sys.stdout.write(f"{part} {kind}: {figure:.1f} s\n")
    conclude(
        "2 kill -9 of each kind, one after another",
        town.ledger,
        published=town.published,
        runs=len(order),
        recovery_seconds=max(seconds),
    )
    assert max(seconds) <= WITHIN
