"""A steady load on all endpoints: what arrives at the healthy ones, and how long after its commit."""

import time

from django.db import connections

from tests.bench import arrivals, copies
from tests.bench.isolation_scene import ALL_AT_ONCE, ENDPOINTS, FIRST_CONTACT, HEALTHY, Scene, queues, staged
from tests.bench.judge import quantile
from tests.bench.publisher import Commit, publishing
from tests.bench.receiver import Receiver
from tests.bench.recorder import Arrival, Recorder
from tests.bench.run import Run

_HEALTHY_RATE = 60.0  # events a second, to all healthy endpoints together
_OTHER_RATE = 40.0  # events a second, to all the others together
_BEFORE = 5.0  # seconds in which everything is healthy, before all the others begin to hang
_GRACE = 3.0  # seconds after the last event in which arrivals still count as such


def observe(run: Run, scene: Scene, recorder: Recorder, _: Receiver) -> dict[str, dict[str, float]]:
    """Return the figures of the healthy endpoints from the second second on, by the scene they belong to."""
    lasting = run.scale(20, 8)
    healthy, others = queues()
    plan = sorted(
        [(number / _HEALTHY_RATE, healthy[number % len(healthy)])
         for number in range(int(_HEALTHY_RATE * (_BEFORE + lasting)))]
        + [(number / _OTHER_RATE, others[number % len(others)])
           for number in range(int(_OTHER_RATE * (_BEFORE + lasting)))]
    )  # fmt: skip
    with staged(run, scene, recorder, recorder.environment(ENDPOINTS)):
        url = copies.url(connections["default"])
        with publishing(plan, folder=run.folder, database_url=url) as publisher:
            if scene == ALL_AT_ONCE:
                time.sleep(max(0.0, publisher.began + _BEFORE - time.monotonic()))
                recorder.hang(HEALTHY)
            commits = publisher.finish(10 * (_BEFORE + lasting))
        time.sleep(_GRACE)
        until = time.monotonic()
        mine = [commit for commit in commits if commit.queue in set(healthy)]
        pairs = arrivals.first_arrivals(mine, recorder.take())
    begins = {FIRST_CONTACT.name: publisher.began, ALL_AT_ONCE.name: publisher.began + _BEFORE}
    wanted = [scene.name] if scene.hangs else list(begins)
    ended = commits[-1].at
    return {name: _figures(pairs, begins[name], ended, until) for name in wanted}


def _figures(
    pairs: list[tuple[Commit, Arrival | None]], began: float, ended: float, until: float
) -> dict[str, float]:
    second = began + 1.0
    window = [pair for pair in pairs if pair[0].at >= second]
    came = [arrival for _, arrival in pairs if arrival and second <= arrival.at <= ended]
    first: dict[str, float] = {}
    for commit, arrival in pairs:
        if commit.at >= began:
            reached = (arrival.at if arrival else until) - began
            first[commit.queue] = min(first.get(commit.queue, reached), reached)
    return {
        # Not a second: the publisher itself is slower on a busy machine.
        "rate": len(came) / max(len(window), 1),
        "p99": 1000 * quantile(arrivals.waits(window, until=until), 0.99),
        "reached": max(first.values()),
    }
