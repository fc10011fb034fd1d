"""One strict lane (one key, one endpoint, one worker), against a single-threaded bare loop."""

from contextlib import ExitStack
from typing import Any

from tests.bench import offer, receiver, rows
from tests.bench.deliver import body_bytes, costs
from tests.bench.judge import Case
from tests.bench.loop import looping
from tests.bench.run import Run
from tests.bench.workers import working

TARGET = 0.9


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the one case."""
    count = run.scale(4_000, 1_000)
    queues = rows.targets(1, is_ordered=True).queues
    with ExitStack() as stack:
        accepting = stack.enter_context(receiver.running(run.folder))
        workers = stack.enter_context(
            working(1, folder=run.folder, **accepting.environment, DELIVERY_THREADS="4")
        )
        offer.drain(queues, 16, workers=workers, receiver=accepting, keys=1)
        loops = stack.enter_context(
            looping(accepting, processes=1, threads=1, body_bytes=body_bytes(), folder=run.folder)
        )
        drained, posted = run.interleave(
            "one lane",
            lambda: offer.drain(queues, count, workers=workers, receiver=accepting, keys=1),
            lambda: loops.post(count),
            rounds=5,
            show=lambda ours, theirs: f"{ours.rate:.0f}/s against {theirs.rate:.0f}/s",
        )
    case = Case.of_rounds(
        "one lane",
        drained,
        posted,
        target=TARGET,
        extra=costs(drained, posted),
    )
    return [case], {"receiver": accepting.kind}
