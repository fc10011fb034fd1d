"""A process that publishes at set times, each event in a transaction of its own, and notes the commits.

`python -m tests.bench.publisher PLAN RESULT`: PLAN is a JSON list of [seconds from the start, queue].
It says "began" with the monotonic time of its start, and writes a list of [queue, event id,
monotonic nanoseconds of the commit] to RESULT.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import django

from tests.bench.children import started


@dataclass(frozen=True, slots=True)
class Commit:
    """A published event: the queue it went to, its id, and when its transaction had committed."""

    queue: str
    event_uid: UUID
    at: float  # monotonic seconds


class Publisher:
    """The other side of the process."""

    def __init__(self, process: subprocess.Popen[bytes], result: Path, began: float) -> None:
        self._process = process
        self._result = result
        self.began = began

    def finish(self, limit: float) -> list[Commit]:
        """Wait for the end of the plan; return what was committed, in order."""
        if self._process.wait(limit) != 0:
            raise RuntimeError("the publisher failed")
        return [Commit(queue, UUID(uid), at / 1e9) for queue, uid, at in json.loads(self._result.read_text())]


@contextmanager
def publishing(plan: Sequence[tuple[float, str]], *, folder: Path, database_url: str) -> Iterator[Publisher]:
    """Run one beside the block, which begins when it does."""
    given, result = folder / "plan.json", folder / "published.json"
    given.write_text(json.dumps(plan))
    command = [sys.executable, "-m", "tests.bench.publisher", str(given), str(result)]
    log = folder / "publisher.log"
    with started(
        command, log=log, stdout=subprocess.PIPE, variables={"DATABASE_URL": database_url}
    ) as process:
        assert process.stdout
        words = process.stdout.readline().split()
        if not words:
            raise RuntimeError("the publisher did not start:\n" + log.read_text())
        yield Publisher(process, result, float(words[1]))


def even(rate: float, seconds: float, queues: Sequence[str]) -> list[tuple[float, str]]:
    """Return a plan of a steady rate, over the queues in turn."""
    return [(number / rate, queues[number % len(queues)]) for number in range(int(rate * seconds))]


def _main(given: str, result: str) -> None:
    django.setup()
    from tests.bench import publishing_threads

    plan = json.loads(Path(given).read_text())
    Path(result).write_text(json.dumps(publishing_threads.carry_out(plan)))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
