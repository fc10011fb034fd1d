"""What happens around the healthy endpoints, and the place it happens in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from events.models import Queue
from tests.bench import copies
from tests.bench.recorder import NOBODY, Recorder
from tests.bench.run import Run
from tests.bench.workers import Workers, working

ENDPOINTS = 100
HEALTHY = 10
PROCESSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Which endpoints hang, and since when."""

    name: str
    hangs: bool
    from_the_start: bool = False


FIRST_CONTACT = Scene(name="hanging from the first contact", hangs=True, from_the_start=True)
ALL_AT_ONCE = Scene(name="all begin at once", hangs=True)
SCENES = [Scene(name="none hanging", hangs=False), FIRST_CONTACT, ALL_AT_ONCE]


@contextmanager
def staged(run: Run, scene: Scene, recorder: Recorder, environment: dict[str, str]) -> Iterator[Workers]:
    """Make a fresh copy of the database with fresh workers on it, and hang what hangs from the start."""
    recorder.hang(HEALTHY if scene.from_the_start else NOBODY)
    with (
        copies.copied("round") as copy,
        copies.within(copy),
        working(PROCESSES, folder=run.folder, **environment) as workers,
    ):
        try:
            yield workers
        finally:
            # Sends that hang would make an orderly end long, and nothing more is measured.
            for process in workers.processes:
                process.kill()
            recorder.hang(NOBODY)
            recorder.take()


def queues() -> tuple[list[str], list[str]]:
    """Return the queues of the healthy endpoints, and those of the others."""
    names = [f"bench-{number}" for number in range(ENDPOINTS)]
    assert Queue.objects.filter(name__in=names).count() == ENDPOINTS
    return names[:HEALTHY], names[HEALTHY:]
