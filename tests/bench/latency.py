"""From commit to the first byte at the receiver: with workers running, and with a cluster that idles."""

import statistics
import sys
import time
from contextlib import ExitStack
from typing import Any

from django.db import connections

from tests.bench import arrivals, copies, offer, receiver, rows
from tests.bench.children import check, started
from tests.bench.judge import Case, quantile
from tests.bench.publisher import even, publishing
from tests.bench.recorder import Recorder, recording
from tests.bench.run import Run
from tests.bench.workers import working

PROCESSES = 2
ENDPOINTS = 16
RATE = 100.0  # events a second
WARM_P50, WARM_P99, COLD_P50 = 25, 100, 300  # milliseconds
_ROUNDS = 5
_SAMPLES = 5
_LATE = 20.0  # seconds after which what has not arrived is not waited for


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the median and the 99th percentile of the warm waits, and the median of the cold ones."""
    queues = rows.targets(ENDPOINTS).queues
    keys = run.folder / "keys"
    keys.mkdir()
    receiver.certified(keys)
    cases = []
    wanted = run.wanted(["warm", "cold"])
    with recording(run.folder, keys) as recorder:
        if "warm" in wanted:
            cases += _warm(run, queues, recorder)
        if "cold" in wanted:
            cases.append(_cold(run, queues, recorder))
    return cases, {"to_offer": f"{RATE:.0f} events/s over {ENDPOINTS} endpoints"}


def _warm(run: Run, queues: list[str], recorder: Recorder) -> list[Case]:
    rounds, seconds = run.rounds or _ROUNDS, run.scale(10, 4)
    run.progress.expect(rounds + 1)
    middles, ends, rates = [], [], []
    with working(PROCESSES, folder=run.folder, **recorder.environment(ENDPOINTS)):
        for number in range(rounds + 1):
            found, rate = _waits(run, even(RATE, seconds, queues), recorder)
            middle, end = quantile(found, 0.5), quantile(found, 0.99)
            label = f"round {number} of {rounds}" if number else "warm-up"
            run.progress.step(f"warm, {label}: p50 {middle:.1f} ms, p99 {end:.1f} ms")
            if number:
                middles.append(middle)
                ends.append(end)
                rates.append(rate)
    offered = {"offered_rate": round(statistics.median(rates))}
    return [
        Case(
            name="warm p50",
            unit="ms",
            ours=middles,
            baseline=None,
            target=WARM_P50,
            at_most=True,
            extra=offered,
        ),
        Case(
            name="warm p99", unit="ms", ours=ends, baseline=None, target=WARM_P99, at_most=True, extra=offered
        ),
    ]


def _cold(run: Run, queues: list[str], recorder: Recorder) -> Case:
    samples, idle = run.rounds or _SAMPLES, run.scale(60, 5)
    run.progress.expect(samples)
    found = []
    environment = {
        **recorder.environment(ENDPOINTS),
        "DATABASE_URL": copies.url(connections["default"]),
        "Q_CLUSTER_NAME": "delivery",
        "BELLWETHER_CLUSTER": "bench",
    }
    command = [sys.executable, "manage.py", "qcluster"]
    with ExitStack() as stack:
        log = run.folder / "cluster.log"
        cluster = stack.enter_context(started(command, log=log, variables=environment))
        for number in range(samples):
            run.progress.say(f"cold: waiting until the cluster has been idle for {idle} s")
            _wait_until_idle(idle)
            check(cluster, log)
            [wait], _ = _waits(run, [(0.0, queues[number % len(queues)])], recorder)
            found.append(wait)
            run.progress.step(f"cold, sample {number + 1} of {samples}: {wait:.0f} ms")
    return Case(name="cold p50", unit="ms", ours=found, baseline=None, target=COLD_P50, at_most=True)


def _waits(run: Run, plan: list[tuple[float, str]], recorder: Recorder) -> tuple[list[float], float]:
    """Publish the plan; return the milliseconds from each commit to its arrival, and the commits a second."""
    recorder.take()
    url = copies.url(connections["default"])
    with publishing(plan, folder=run.folder, database_url=url) as publisher:
        commits = publisher.finish(plan[-1][0] + 60)
    gives_up = time.monotonic() + _LATE
    while offer.waiting() and time.monotonic() < gives_up:
        time.sleep(0.05)
    pairs = arrivals.first_arrivals(commits, recorder.take())
    rate = len(commits) / max(commits[-1].at - commits[0].at, 0.001)
    return [wait * 1000 for wait in arrivals.waits(pairs, until=time.monotonic())], rate


def _wait_until_idle(seconds: float) -> None:
    """Return at a moment when no worker runs, and no event was published for so long.

    The schedule of each minute starts a worker for 20 s, so the moment is between two of those.
    """
    earliest = time.monotonic() + seconds
    gives_up = earliest + 180
    while time.monotonic() < earliest or _workers() > 0:
        if time.monotonic() > gives_up:
            raise RuntimeError("the cluster was never idle")
        time.sleep(0.2)


def _workers() -> int:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications_runner")
        return int(cursor.fetchone()[0])
