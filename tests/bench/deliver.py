"""Deliveries a second, against a bare loop of requests with equal processes and threads and no database."""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from notifications.models import Attempt
from tests.bench import offer, receiver, rows
from tests.bench.judge import Case
from tests.bench.loop import looping
from tests.bench.rounds import Round
from tests.bench.run import Run
from tests.bench.workers import working

PROCESSES = 2
ENDPOINTS = 16
ALONE = "one endpoint alone"
# Threads a process, and the least ratio.
TARGETS = {4: 1.3, 2: 1.0, 8: 1.0, 16: 1.0}


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the cases: each number of threads, and one endpoint alone against sixteen."""
    targets = rows.targets(ENDPOINTS)
    names = {f"{threads} threads": threads for threads in TARGETS}
    cases = []
    with receiver.running(run.folder) as accepting:
        for name in run.wanted([*names, ALONE]):
            if name == ALONE:
                cases.append(_alone(run, targets.queues, accepting))
            else:
                cases.append(_threads(run, targets.queues, accepting, name, names[name]))
    return cases, {"receiver": accepting.kind}


def _threads(run: Run, queues: list[str], accepting: receiver.Receiver, name: str, threads: int) -> Case:
    count = run.scale(12_000, 3_000)
    with ExitStack() as stack:
        workers = stack.enter_context(
            working(PROCESSES, folder=run.folder, **accepting.environment, DELIVERY_THREADS=str(threads))
        )
        # A first drain, so that the baseline's requests are made as large as ours really are.
        offer.drain(queues, ENDPOINTS, workers=workers, receiver=accepting)
        loops = stack.enter_context(
            looping(
                accepting, processes=PROCESSES, threads=threads, body_bytes=body_bytes(), folder=run.folder
            )
        )
        drained, posted = run.interleave(
            name,
            lambda: offer.drain(queues, count, workers=workers, receiver=accepting),
            lambda: loops.post(count),
            rounds=5,
            show=lambda ours, theirs: f"{ours.rate:.0f}/s against {theirs.rate:.0f}/s",
        )
    return Case.of_rounds(
        name,
        drained,
        posted,
        target=TARGETS[threads],
        extra=costs(drained, posted),
    )


def _alone(run: Run, queues: list[str], accepting: receiver.Receiver) -> Case:
    count = run.scale(6_000, 2_000)
    environment = {**accepting.environment, "DELIVERY_THREADS": "4"}
    with working(PROCESSES, folder=run.folder, **environment) as workers:
        one, all_of_them = run.interleave(
            ALONE,
            lambda: offer.drain(queues[:1], count, workers=workers, receiver=accepting),
            lambda: offer.drain(queues, count, workers=workers, receiver=accepting),
            rounds=5,
            show=lambda ours, theirs: f"{ours.rate:.0f}/s against {theirs.rate:.0f}/s",
        )
    return Case.of_rounds(
        ALONE,
        one,
        all_of_them,
        target=0.8,
        extra={"cpu_us": median_cost([each.cost for each in one])},
    )


def body_bytes() -> int:
    """How long the body of the last callout was."""
    shown = str(Attempt.objects.latest("started_at").request_headers)
    lengths = [
        line.split(":")[1] for line in shown.splitlines() if line.lower().startswith("content-length:")
    ]
    return int(lengths[0])


def costs(drained: Sequence[Round], posted: Sequence[Round]) -> dict[str, Any]:
    """Where the processor time of both sides went, in microseconds a delivery; medians of the rounds."""
    ours, theirs = median_cost([each.cost for each in drained]), median_cost([each.cost for each in posted])
    return {
        "cpu_us": ours,
        "baseline_cpu_us": theirs,
        "cpu_ratio": round(sum(theirs.values()) / sum(ours.values()), 2),
        "receiver_share": round(ours["receiver"] / sum(ours.values()), 2),
    }


def median_cost(each: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each part."""
    return {name: statistics.median(cost[name] for cost in each) for name in each[0]}
