"""What the product itself says happened: its deliveries and attempts, as plain values."""

from collections import defaultdict
from dataclasses import dataclass, field

from django.db import connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt of the log."""

    verdict: str
    status_code: int | None = None
    is_fenced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One delivery with its attempts, oldest first."""

    public_id: str
    event_id: str
    status: str
    hold_cause: str = ""
    is_due: bool = False  # something will look at it again, at a known time
    is_in_flight: bool = False  # a worker has it now
    lane: int | None = None
    sequence: int | None = None
    tries: tuple[Try, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """All deliveries, by public id, and the events that have none yet or were set aside."""

    deliveries: dict[str, Record]
    waiting_events: frozenset[str] = field(default=frozenset())


# Due means that a look is certain to come: the channel is due, leased, or paused for a cause that is
# named; and in a lane that the head is due or blocked by a named delivery, which holds up the rest.
_DELIVERIES = """
SELECT d.id, 'dlv_' || replace(d.uid::text, '-', ''), 'evt_' || replace(e.uid::text, '-', ''),
       d.status, d.hold_cause, d.lane_id, d.sequence,
       d.due_at IS NOT NULL AND (c.due_at IS NOT NULL OR c.is_paused)
         AND (l.id IS NULL OR (d.sequence >= l.next_sequence AND (
                l.due_at IS NOT NULL
                OR EXISTS (SELECT FROM notifications_delivery b WHERE b.id = l.blocked_by_id AND b.status = 'held')
              ))),
       coalesce(d.id = ANY(c.in_flight), false)
FROM notifications_delivery d
JOIN events_event e ON e.id = d.event_id
LEFT JOIN notifications_channel c ON c.id = d.channel_id
LEFT JOIN notifications_lane l ON l.id = d.lane_id
ORDER BY d.id
"""


def read_records() -> Records:
    """Read them in one snapshot each; the product should be at rest."""
    tries: dict[int, list[Try]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT delivery_id, verdict, status_code, is_fenced
               FROM notifications_attempt ORDER BY started_at, id"""
        )
        for delivery_id, verdict, status_code, is_fenced in cursor:
            tries[delivery_id].append(Try(verdict=verdict, status_code=status_code, is_fenced=is_fenced))
        cursor.execute(_DELIVERIES)
        deliveries = {
            public_id: Record(
                public_id=public_id,
                event_id=event_id,
                status=status,
                hold_cause=cause,
                lane=lane,
                sequence=sequence,
                is_due=is_due,
                is_in_flight=is_in_flight,
                tries=tuple(tries.pop(key, ())),
            )
            for key, public_id, event_id, status, cause, lane, sequence, is_due, is_in_flight in cursor
        }
        cursor.execute(
            """SELECT 'evt_' || replace(e.uid::text, '-', '') FROM events_event e
               WHERE EXISTS (SELECT FROM events_inboxentry i WHERE i.event_id = e.id)
                  OR EXISTS (SELECT FROM events_quarantinedevent q WHERE q.event_id = e.id)"""
        )
        waiting = frozenset(row[0] for row in cursor)
    return Records(deliveries=deliveries, waiting_events=waiting)
