"""The database's time, as this process knows it: hosts' clocks differ, and receivers refuse old signatures."""

import time
from datetime import UTC, datetime


class _Clock:
    offset = 0.0  # seconds by which the database's clock is ahead of this host's


def learn(database_now: datetime, *, asked_at: float, answered_at: float) -> None:
    """Take over the time that the database told between two readings of `time.time()`."""
    _Clock.offset = database_now.timestamp() - (asked_at + answered_at) / 2


def forget() -> None:
    """Believe this host's clock until the database tells its own."""
    _Clock.offset = 0.0


def timestamp() -> float:
    """Return the database's time now, in seconds since 1970."""
    return time.time() + _Clock.offset


def now() -> datetime:
    """Return the database's time now."""
    return datetime.fromtimestamp(timestamp(), UTC)
