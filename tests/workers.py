"""Workers as threads of the test, each with connections of its own; and what a receiver sees of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from notifications.engine import Engine


@contextmanager
def working(count: int = 1) -> Iterator[list[Engine]]:
    """Let so many workers run beside the test; they end with it, and what made one fail is raised here."""
    engines = [Engine() for _ in range(count)]
    faults: list[BaseException] = []

    def work(engine: Engine) -> None:
        try:
            engine.run()
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    try:
        yield engines
    finally:
        for engine in engines:
            engine.stop()
        for thread in threads:
            thread.join()
    if faults:
        raise faults[0]


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Do these at once, each in a thread with a connection of its own; return what they return."""
    results: list[Any] = [None] * len(jobs)
    barrier = threading.Barrier(len(jobs))

    def do(number: int, job: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            results[number] = job()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=each) for each in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def until(holds: Callable[[], Any], seconds: float = 30.0) -> bool:
    """Wait until something holds; return whether it did before this gave up."""
    gives_up = time.monotonic() + seconds
    while time.monotonic() < gives_up:
        if holds():
            return True
        time.sleep(0.02)
    return False


@dataclass
class Gauge:
    """A receiver's script that takes its time and notes how many requests it had at once, by path."""

    seconds: float = 0.0
    answer: tuple[int, dict[str, str], bytes] = (204, {}, b"")
    most: int = 0
    arrivals: list[float] = field(default_factory=list)
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, _request: Any) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self.arrivals.append(time.monotonic())
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self.seconds)
        with self._lock:
            self._now -= 1
        return self.answer

    def most_within(self, seconds: float) -> int:
        """Return how many arrived at most within any time so long."""
        starts = sorted(self.arrivals)
        return max(
            (sum(1 for one in starts if start <= one < start + seconds) for start in starts), default=0
        )
