"""Two repairs of a lane's head that finding work calls for."""

from collections.abc import Mapping

from django.db import connection


def clear(empty: Mapping[int, int]) -> None:
    """Move the heads of these lanes past their tail: everything left in them was cancelled or skipped.

    `empty` gives the tail at which each lane was seen; a lane that has grown since is left alone.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE notifications_lane l SET next_sequence = l.tail + 1, due_at = NULL
               FROM unnest(%s::bigint[], %s::bigint[]) x(id, tail)
               WHERE l.id = x.id AND l.tail = x.tail
                 AND NOT EXISTS (SELECT FROM notifications_delivery d WHERE d.lane_id = l.id
                   AND d.sequence >= l.next_sequence AND d.status IN ('pending', 'retrying', 'held'))""",
            [list(empty), list(empty.values())],
        )


def block(heads: Mapping[int, int]) -> None:
    """Stop these lanes at a held delivery; `heads` gives the delivery's id by lane id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE notifications_lane l SET blocked_by_id = d.id, next_sequence = d.sequence, due_at = NULL
               FROM unnest(%s::bigint[], %s::bigint[]) x(lane_id, delivery_id)
               JOIN notifications_delivery d ON d.id = x.delivery_id AND d.status = 'held'
               WHERE l.id = x.lane_id AND d.sequence >= l.next_sequence""",
            [list(heads), list(heads.values())],
        )
