"""Three repairs of a lane's head that finding work calls for.

All lock the lanes' channels first, as everybody who changes lanes does.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper


def clear(empty: Mapping[int, int]) -> None:
    """Move the heads of these lanes past their tail: everything left in them was cancelled or skipped.

    `empty` gives the tail at which each lane was seen; a lane that has grown since is left alone.
    """
    with _locked(empty) as cursor:
        cursor.execute(
            """UPDATE notifications_lane l SET next_sequence = l.tail + 1, due_at = NULL
               FROM unnest(%s::bigint[], %s::bigint[]) x(id, tail)
               WHERE l.id = x.id AND l.tail = x.tail
                 AND NOT EXISTS (SELECT FROM notifications_delivery d WHERE d.lane_id = l.id
                   AND d.sequence >= l.next_sequence AND (d.due_at IS NOT NULL OR d.status = 'held'))""",
            [list(empty), list(empty.values())],
        )


def block(heads: Mapping[int, int]) -> None:
    """Stop these lanes at a held delivery; `heads` gives the delivery's id by lane id."""
    with _locked(heads) as cursor:
        cursor.execute(
            """UPDATE notifications_lane l SET blocked_by_id = d.id, next_sequence = d.sequence, due_at = NULL
               FROM unnest(%s::bigint[], %s::bigint[]) x(lane_id, delivery_id)
               JOIN notifications_delivery d ON d.id = x.delivery_id AND d.status = 'held'
               WHERE l.id = x.lane_id AND d.sequence >= l.next_sequence""",
            [list(heads), list(heads.values())],
        )


def move(heads: Mapping[int, int]) -> None:
    """Move these lanes to the channel that their head is for, and wake it; `heads` gives the channel by lane id.

    Nothing of them is under way, and a head that has changed since is looked at again by whoever comes next.
    """
    with _locked(heads, heads.values()) as cursor:
        cursor.execute(
            """UPDATE notifications_lane l SET channel_id = x.channel_id
               FROM unnest(%s::bigint[], %s::bigint[]) x(id, channel_id) WHERE l.id = x.id""",
            [list(heads), list(heads.values())],
        )
        cursor.execute(
            """UPDATE notifications_channel SET wake = wake + 1,
                 due_at = CASE WHEN leased_until IS NULL
                               THEN LEAST(COALESCE(due_at, 'infinity'), GREATEST(now(), not_before)) ELSE due_at END
               WHERE id = ANY(%s)""",
            [list(heads.values())],
        )


@contextmanager
def _locked(lane_ids: Iterable[int], others: Iterable[int] = ()) -> Iterator[CursorWrapper]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """SELECT id FROM notifications_channel
               WHERE id IN (SELECT channel_id FROM notifications_lane WHERE id = ANY(%s)) OR id = ANY(%s)
               ORDER BY id FOR UPDATE""",
            [list(lane_ids), list(others)],
        )
        yield cursor
