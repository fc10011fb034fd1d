"""When there is something to do next, in one statement over two small indexes."""

import time
from dataclasses import dataclass

from django.db import connection

from .transports import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What waits. Seconds count from now on the database's clock; None: nothing."""

    has_events: bool  # committed and not fanned out
    next_event_in: float | None  # an event with a time of its own
    next_channel_in: float | None

    @property
    def next_in(self) -> float:
        """Seconds until there is something to do; infinite when nothing is known."""
        waits = [seconds for seconds in (self.next_event_in, self.next_channel_in) if seconds is not None]
        return 0.0 if self.has_events else max(0.0, min(waits, default=float("inf")))


def read_agenda() -> Agenda:
    """Read it, and the time with it. Its cost does not depend on how much waits or how long the log is."""
    asked_at = time.time()
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT clock_timestamp(), EXISTS (SELECT FROM events_inboxentry WHERE due_at IS NULL)
                   OR EXISTS (SELECT FROM events_inboxentry WHERE due_at <= now()),
                 (SELECT extract(epoch FROM min(due_at) - now())::float8 FROM events_inboxentry
                  WHERE due_at IS NOT NULL),
                 (SELECT extract(epoch FROM min(due_at) - now())::float8 FROM notifications_channel
                  WHERE due_at IS NOT NULL AND NOT is_paused)"""
        )
        now, has_events, event_in, channel_in = cursor.fetchone()
    clock.learn(now, asked_at=asked_at, answered_at=time.time())
    return Agenda(has_events=has_events, next_event_in=event_in, next_channel_in=channel_in)
