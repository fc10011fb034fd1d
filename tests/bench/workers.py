"""Real delivery workers, `manage.py deliver`, that stand ready."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection, connections

from tests.bench import copies, spending
from tests.bench.children import started

_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Workers:
    """The worker processes of one measurement."""

    processes: list[subprocess.Popen[bytes]]
    log: Path

    def cpu_seconds(self) -> float:
        """How much processor time they have used."""
        return spending.of(process.pid for process in self.processes)

    def check(self) -> None:
        """Raise if one of them has ended: what was measured since would be worth nothing."""
        if any(process.poll() is not None for process in self.processes):
            raise RuntimeError("a worker ended:\n" + self.log.read_text()[-2000:])


@contextmanager
def working(count: int, *, folder: Path, **variables: str) -> Iterator[Workers]:
    """Run so many workers beside the block, on the database that is in use; all of them listen by then."""
    log = folder / "workers.log"
    variables = {"DATABASE_URL": copies.url(connections["default"]), **variables}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                started([sys.executable, "manage.py", "deliver"], log=log, variables=variables)
            )
            for _ in range(count)
        ]
        workers = Workers(processes, log)
        _wait_for(count, workers)
        yield workers
        # All at once, and not one after another.
        for process in processes:
            process.terminate()


def _wait_for(count: int, workers: Workers) -> None:
    gives_up = time.monotonic() + _PATIENCE
    while listening() < count:
        workers.check()
        if time.monotonic() > gives_up:
            raise RuntimeError("the workers did not start:\n" + workers.log.read_text()[-2000:])
        time.sleep(0.05)


def listening() -> int:
    """How many workers hear of new events now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'bellwether listen'
                 AND state = 'idle' AND query LIKE 'LISTEN%'"""
        )
        return int(cursor.fetchone()[0])
