"""An in-order queue of 1,000 ordering keys, against the same events in any order. Ours against ours."""

from typing import Any

from tests.bench import offer, receiver, rows
from tests.bench.deliver import ENDPOINTS, PROCESSES, median_cost
from tests.bench.judge import Case
from tests.bench.run import Run
from tests.bench.workers import working

KEYS = 1_000
TARGET = 0.9


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the one case."""
    count = run.scale(12_000, 4_000)
    ordered = rows.targets(ENDPOINTS, is_ordered=True, prefix="ordered-").queues
    parallel = rows.targets(ENDPOINTS).queues
    with (
        receiver.running(run.folder) as accepting,
        working(PROCESSES, folder=run.folder, **accepting.environment, DELIVERY_THREADS="4") as workers,
    ):
        in_order, any_order = run.interleave(
            "1,000 keys",
            lambda: offer.drain(ordered, count, workers=workers, receiver=accepting, keys=KEYS),
            lambda: offer.drain(parallel, count, workers=workers, receiver=accepting, keys=KEYS),
            rounds=7,
            show=lambda ours, theirs: f"{ours.rate:.0f}/s against {theirs.rate:.0f}/s",
        )
    case = Case.of_rounds(
        "1,000 keys",
        in_order,
        any_order,
        target=TARGET,
        extra={
            "cpu_us": median_cost([each.cost for each in in_order]),
            "baseline_cpu_us": median_cost([each.cost for each in any_order]),
        },
    )
    return [case], {"receiver": accepting.kind}
