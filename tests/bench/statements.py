"""SQL statements per delivery at saturation, and per second of an idle cluster, as the server logs them."""

import itertools
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.db import connection, connections

from tests.bench import copies, hosting, offer, receiver, rows
from tests.bench.children import check, started
from tests.bench.deliver import ENDPOINTS, PROCESSES
from tests.bench.judge import Case
from tests.bench.run import Run
from tests.bench.workers import working

PER_DELIVERY, PER_SECOND = 0.03, 6
_ROUNDS = 5
_PATIENCE = 20.0
_PROGRAM = "bench worker"
# The connection that a worker listens on names itself.
_PROGRAMS = {_PROGRAM, "bellwether listen"}
_LINE = re.compile(r"^@bench ([^|]*)\|[^|]*\|LOG:  (?:statement|execute [^:]*): ?(.*)")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?([a-z_]+_[a-z_]+)")


class Log:
    """The server's log of statements."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marks = 0

    def during(self, what: Callable[[], object]) -> Counter[str]:
        """Return the workers' statements while `what` runs, by their first words."""
        start = self._mark()
        what()
        end = self._mark()
        found: Counter[str] = Counter()
        with self._path.open("rb") as log:
            log.seek(start)
            text = log.read(end - start).decode("utf-8", "replace")
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if (match := _LINE.match(line)) and match[1] in _PROGRAMS:
                rest = itertools.takewhile(_is_continued, lines[number + 1 : number + 6])
                found[_kind(" ".join([match[2], *rest]))] += 1
        return found

    def _mark(self) -> int:
        """Return where the log ends now: after everything that was logged before this statement."""
        self._marks += 1
        mark = f"mark {self._marks} of the bench".encode()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT '{mark.decode()}'")
        gives_up = time.monotonic() + _PATIENCE
        while time.monotonic() < gives_up:
            size = self._path.stat().st_size
            with self._path.open("rb") as log:
                log.seek(max(0, size - 100_000))
                if mark in log.read(size):
                    return size
            time.sleep(0.05)
        raise RuntimeError("the server's log of statements did not show what was sent")


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return both cases."""
    queues = rows.targets(ENDPOINTS).queues
    log = Log(hosting.server_folder(run.folder) / "statements" / "statements.log")
    url = copies.url(connections["default"], application_name=_PROGRAM)
    cases = []
    wanted = run.wanted(["saturated", "idle"])
    if "saturated" in wanted:
        cases.append(_saturated(run, queues, log, url))
    if "idle" in wanted:
        cases.append(_idle(run, log, url))
    return cases, {}


def _saturated(run: Run, queues: list[str], log: Log, url: str) -> Case:
    count, rounds = run.scale(12_000, 4_000), run.rounds or _ROUNDS
    run.progress.expect(rounds + 1)
    with ExitStack() as stack:
        accepting = stack.enter_context(receiver.running(run.folder))
        environment = {**accepting.environment, "DELIVERY_THREADS": "4", "DATABASE_URL": url}
        workers = stack.enter_context(working(PROCESSES, folder=run.folder, **environment))
        found = []
        for number in range(rounds + 1):
            found.append(log.during(lambda: offer.drain(queues, count, workers=workers, receiver=accepting)))
            told = f"{found[-1].total() / count:.4f} a delivery"
            run.progress.step(f"saturated, {_label(number, rounds)}: {told}")
    return _case("per delivery at saturation", found, by=count, target=PER_DELIVERY)


def _idle(run: Run, log: Log, url: str) -> Case:
    # A whole minute each, so that what the schedules do once a minute is in each.
    seconds, rounds = run.scale(60, 12), run.rounds or _ROUNDS
    run.progress.expect(rounds + 1)
    environment = {"DATABASE_URL": url, "Q_CLUSTER_NAME": "delivery", "BELLWETHER_CLUSTER": "bench"}
    command = [sys.executable, "manage.py", "qcluster"]
    output = run.folder / "cluster.log"
    with started(command, log=output, variables=environment) as cluster:
        found = []
        for number in range(rounds + 1):
            found.append(log.during(lambda: time.sleep(seconds)))
            check(cluster, output)
            told = f"{found[-1].total() / seconds:.2f} a second"
            run.progress.step(f"idle, {_label(number, rounds)}: {told}")
    return _case("per idle second of the delivery cluster", found, by=seconds, target=PER_SECOND)


def _label(number: int, rounds: int) -> str:
    return f"round {number} of {rounds}" if number else "warm-up"


def _case(name: str, found: list[Counter[str]], *, by: float, target: float) -> Case:
    """The statements of each round but the first, which warms up, for each of `by`."""
    seen = found[1:]
    return Case(
        name=name,
        unit="statements",
        ours=[each.total() / by for each in seen],
        baseline=None,
        target=target,
        at_most=True,
        extra={"kinds": _shares(sum(seen, Counter[str]()), len(seen) * by)},
    )


def _is_continued(line: str) -> bool:
    return not line.startswith("@bench ")


def _kind(statement: str) -> str:
    """The first word of a statement, and the first table in it."""
    verb = statement.split(maxsplit=1)[0].upper() if statement.strip() else ""
    table = _TABLE.search(statement)
    verb += " COUNT" if "COUNT(" in statement[:20] else ""
    return f"{verb} {table[1]}" if table else " ".join(statement.split()[:2])[:30]


def _shares(kinds: Counter[str], by: float) -> dict[str, float]:
    return {kind: float(f"{count / by:.3g}") for kind, count in kinds.most_common(8)}
