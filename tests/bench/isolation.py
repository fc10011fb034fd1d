"""Healthy endpoints while 90 of 100 hang, against none hanging.

Each round does the same three times, in a fresh copy of the database and with fresh workers: with
none hanging, with 90 that hang from the first contact, and with 90 that begin to hang all at once
after everything has been healthy for a while.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.bench import isolation_saturated, isolation_steady, receiver, rows
from tests.bench.isolation_scene import ENDPOINTS, SCENES
from tests.bench.judge import Case
from tests.bench.recorder import recording
from tests.bench.run import Run

THROUGHPUT, P99, REACHED = 0.9, 2.0, 5.0
_ROUNDS = 5
_VARIANTS: dict[str, Callable[..., dict[str, dict[str, float]]]] = {
    "steady": isolation_steady.observe,
    "saturated": isolation_saturated.observe,
}


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return, for a steady and a saturating load and for both ways to hang, what the healthy ones get."""
    rows.targets(ENDPOINTS)
    rounds = run.rounds or _ROUNDS
    cases: list[Case] = []
    with ExitStack() as stack:
        accepting = stack.enter_context(receiver.running(run.folder))
        recorder = stack.enter_context(recording(run.folder, accepting.ca_bundle.parent))
        for variant in run.wanted(list(_VARIANTS)):
            found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            run.progress.expect((rounds + 1) * len(SCENES))
            for number in range(rounds + 1):
                for scene in SCENES if number % 2 else reversed(SCENES):
                    began = time.monotonic()
                    seen = _VARIANTS[variant](run, scene, recorder, accepting)
                    label = f"round {number} of {rounds}" if number else "warm-up"
                    told = "; ".join(_told(name, figures) for name, figures in seen.items())
                    seconds = time.monotonic() - began
                    run.progress.step(f"{variant}, {label}, {scene.name}: {told} ({seconds:.0f} s)")
                    for against, figures in seen.items() if number else ():
                        for figure, value in figures.items():
                            key = against if scene.hangs else f"none, as {against}"
                            found[key][figure].append(value)
            cases += _cases(variant, found)
    return cases, {"healthy": 10, "hanging": ENDPOINTS - 10, "workers": 2}


def _told(name: str, figures: dict[str, float]) -> str:
    return f"{name}: " + ", ".join(f"{figure} {value:.3g}" for figure, value in figures.items())


def _cases(variant: str, found: dict[str, dict[str, list[float]]]) -> list[Case]:
    made = []
    for scene in SCENES:
        if not scene.hangs:
            continue
        ours, without = found[scene.name], found[f"none, as {scene.name}"]
        label = f"{variant}, {scene.name}"
        made.append(
            Case(
                name=f"{label}: throughput",
                unit="arrived per offered" if variant == "steady" else "deliveries/s",
                ours=ours["rate"],
                baseline=without["rate"],
                target=THROUGHPUT,
            )
        )
        if "p99" not in ours:
            continue
        made.append(
            Case(
                name=f"{label}: p99 of the wait",
                unit="ms",
                ours=ours["p99"],
                baseline=without["p99"],
                target=P99,
                at_most=True,
            )
        )
        made.append(
            Case(
                name=f"{label}: last healthy endpoint reached",
                unit="s",
                ours=ours["reached"],
                baseline=None,
                target=REACHED,
                at_most=True,
            )
        )
    return made
