"""What the fault tests share: subscriptions and events to work on, waiting for the end, and the verdict."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import Popen
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from events.draft import Draft
from events.publish import publish_many
from notifications import switch
from notifications.models import Channel, Delivery, Endpoint, Subscription
from notifications.nudge import nudge
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.faults.ledger import Ledger
from tests.faults.oracle import Findings, check
from tests.processes import ROOT, environment

# Real leases that end while a test can wait for them. `deliver` refuses them without --skip-checks, since
# a send of 15 s would not fit: these endpoints have `timeout_seconds` of SHORT_TIMEOUT.
SHORT_LEASE, SHORT_TIMEOUT = 8, 2
AT_ONCE = [0] * 30  # a retry schedule
_BATCH = 500


def subscribe(hosts: Iterable[str], *, ordered: bool, retry_seconds: list[int] | None = None, **endpoint):
    """Subscribe an endpoint at each host to one new queue that every event flows into."""
    queue = QueueFactory(is_ordered=ordered)
    endpoint = {f"endpoint__{name}": value for name, value in endpoint.items()}
    return [
        WebhookSubscriptionFactory(
            queue=queue,
            retry_seconds=AT_ONCE if retry_seconds is None else retry_seconds,
            endpoint__base_url=f"https://{host}",
            **endpoint,
        )
        for host in hosts
    ]


def publish_events(total: int, *, lanes: int = 8) -> list[str]:
    """Publish so many events over so many accounts; return their public ids."""
    ids: list[str] = []
    for start in range(0, total, _BATCH):
        drafts = [
            Draft(
                type="invoice.posted",
                data={"account": {"id": str(number % lanes)}, "invoice": {"id": str(number)}},
            )
            for number in range(start, min(total, start + _BATCH))
        ]
        ids += [published.event.public_id for published in publish_many(drafts)]
    return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One `manage.py deliver`, known to the database by a name of its own."""

    process: Popen[bytes]
    name: str

    def kill(self) -> None:
        """Kill it, and wait until the database has finished what it was doing for it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not self._backends())

    def waits_for_a_lock(self) -> bool:
        """Tell whether one of its statements does."""
        return self._backends("AND wait_event_type = 'Lock'") > 0

    def _backends(self, such_as: str = "") -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM pg_stat_activity WHERE application_name = %s {such_as}", [self.name]
            )
            return int(cursor.fetchone()[0])

    def channels(self) -> "QuerySet[Channel]":
        """Return the channels that it holds, or held when it died."""
        return Channel.objects.filter(owner__contains=f":{self.process.pid}:")

    def in_flight(self) -> set[int]:
        """Return the ids of the deliveries that it may have sent and not settled."""
        return {pk for ids in self.channels().values_list("in_flight", flat=True) for pk in ids}

    def expire_leases(self) -> None:
        """Let the leases of the dead worker run out now instead of when they would."""
        self.channels().update(leased_until=Now(), due_at=Now())
        nudge()  # the others know when the leases were to end, and sleep until then


_numbers = count()


@contextmanager
def worker(
    *,
    lease: int | None = None,
    threads: int = 4,
    variables: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Worker]:
    """Run `manage.py deliver` beside the test; a `lease` is shorter than the product permits, a
    `prefix` starts it somewhere else."""
    options = ["--skip-checks"] if lease else []
    name = f"worker {next(_numbers)}"
    added = {"DELIVERY_THREADS": str(threads), "PGAPPNAME": name, **(variables or {})}
    if lease:
        added["DELIVERY_LEASE_SECONDS"] = str(lease)
    process = Popen(
        [*prefix, sys.executable, "manage.py", "deliver", *options], cwd=ROOT, env=environment() | added
    )
    try:
        yield Worker(process=process, name=name)
    finally:
        process.kill()
        process.wait()


def unfinished() -> int:
    """Return how many deliveries are not final."""
    return Delivery.objects.filter(status__in=Delivery.UNFINISHED).count()


def begin_anew(subscriptions: Sequence[Subscription]) -> None:
    """Stop and resume their endpoints, as a person who believes them mended: a fifth failure opens a circuit."""
    endpoint_ids = [subscription.endpoint_id for subscription in subscriptions if subscription.endpoint_id]
    switch.pause(Endpoint, endpoint_ids, AnonymousUser())
    switch.resume(Endpoint, endpoint_ids, AnonymousUser())


def all_delivered(total: int) -> Callable[[], bool]:
    """Return the condition that so many deliveries exist and all are delivered."""
    return lambda: Delivery.objects.filter(status="delivered").count() == Delivery.objects.count() == total


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait for it and return how long it took; give up after `seconds` with what the deliveries are."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < seconds, f"after {seconds:g} s: {statuses()}"
        time.sleep(0.02)
    return time.monotonic() - started


def wait_for_count(rows: "QuerySet[Any]", total: int, seconds: float = 60.0) -> float:
    """Wait until there are so many of these rows, and return how long it took."""
    return wait_until(lambda: rows.count() == total, seconds)


def wait_for_more(rows: "QuerySet[Any]", than: int, seconds: float = 60.0) -> float:
    """Wait until there are more of these rows, and return how long it took."""
    return wait_until(lambda: rows.count() > than, seconds)


def statuses() -> dict[str, int]:
    """Return how many deliveries there are of each status."""
    rows = Delivery.objects.values_list("status").order_by("status").annotate(number=Count("id"))
    return dict(rows)


def conclude(
    fault: str,
    ledger: Ledger,
    *,
    published: Collection[str],
    deliveries_each: int = 1,
    may_repeat: Collection[str] = (),
    **figures: float,
) -> Findings:
    """Judge the run by the oracle, print and record what it found with the figures, and fail on any fault."""
    findings = check(
        ledger.lines(), published=set(published), deliveries_each=deliveries_each, may_repeat=may_repeat
    )
    record = {
        "fault": fault,
        "lost": len(findings.lost),
        "out_of_order": len(findings.out_of_order),
        "duplicates": findings.duplicates,
        "duplicates_not_allowed": len(findings.forbidden),
        "stuck": len(findings.stuck),
        "unexplained": len(findings.unexplained),
        "arrivals": findings.arrivals,
        **{name: round(value, 3) for name, value in figures.items()},
    }
    sys.stdout.write(json.dumps(record) + "\n")
    if path := os.environ.get("FAULT_REPORT"):
        with Path(path).open("a") as file:
            file.write(json.dumps(record) + "\n")
    assert findings.is_clean, f"{fault}: {findings}"
    return findings
