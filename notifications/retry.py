"""When to try again: the schedule of Standard Webhooks, with jitter that only ever delays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from .transports.base import LONGEST_RETRY_AFTER

# https://www.standardwebhooks.com recommends these steps; 75 h 35 min in all.
SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long to wait before each attempt; the first entry belongs to the first attempt."""

    waits: tuple[timedelta, ...] = SCHEDULE

    @classmethod
    def of(cls, seconds: Sequence[int]) -> Self:
        """Return the schedule of a subscription: waits before each further attempt; none: the standard one."""
        if not seconds:
            return cls()
        return cls(waits=(timedelta(0), *(timedelta(seconds=wait) for wait in seconds)))

    def wait(self, attempts: int, *, jitter: float, retry_after: timedelta | None = None) -> timedelta | None:
        """Return the wait after `attempts` failed attempts; None when the schedule is spent.

        `jitter`, from 0 to 1, stretches the wait by up to a tenth. A `retry_after` that the
        receiver asked for is honoured up to 24 hours, and never shortens the schedule.
        """
        if attempts >= len(self.waits):
            return None
        wait = self.waits[attempts] * (1 + 0.1 * jitter)
        return max(wait, min(retry_after or timedelta(0), LONGEST_RETRY_AFTER))
