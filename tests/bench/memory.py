"""The memory of one worker after many deliveries, against the same worker after few."""

from typing import Any

import psutil

from tests.bench import offer, receiver, rows
from tests.bench.deliver import ENDPOINTS
from tests.bench.judge import Case
from tests.bench.run import Run
from tests.bench.workers import working

TARGET = 1.1
FEW = 1_000
_PART = 9_900
_ROUNDS = 5
_MEGABYTE = 1024 * 1024


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the one case: each round has a worker of its own, whose two figures are compared."""
    parts = run.scale(10, 1)
    many = FEW + parts * _PART
    queues = rows.targets(ENDPOINTS).queues
    rounds = run.rounds or _ROUNDS
    run.progress.expect(rounds * (parts + 1))
    before, after = [], []
    with receiver.running(run.folder) as accepting:
        for number in range(rounds):
            with working(1, folder=run.folder, **accepting.environment, DELIVERY_THREADS="4") as workers:
                worker = psutil.Process(workers.processes[0].pid)
                offer.drain(queues, FEW, workers=workers, receiver=accepting)
                before.append(_resident(worker))
                run.progress.step(f"worker {number + 1}, after {FEW}: {before[-1]:.1f} MB")
                for part in range(parts):
                    offer.drain(queues, _PART, workers=workers, receiver=accepting)
                    done = FEW + (part + 1) * _PART
                    run.progress.step(f"worker {number + 1}, after {done}: {_resident(worker):.1f} MB")
                after.append(_resident(worker))
    case = Case(
        name=f"after {many:,} against after {FEW:,}",
        unit="MB",
        ours=after,
        baseline=before,
        target=TARGET,
        at_most=True,
    )
    return [case], {"receiver": accepting.kind}


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss / _MEGABYTE)
