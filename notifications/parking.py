"""Pausing a queue or subscription, and letting it go on.

A pause costs nothing when it begins: a worker that meets a delivery of what is paused holds it, with the
cause on record, and its lane with it. Going on takes them back in batches.
"""

from django.db import connection, transaction

from . import channels
from .nudge import nudge

BATCH = 2_000  # deliveries in one transaction

_PARKED = """
SELECT d.id FROM notifications_delivery d
JOIN notifications_subscription s ON s.id = d.subscription_id
JOIN events_queue q ON q.id = s.queue_id
WHERE d.hold_cause = 'paused' AND NOT s.is_paused AND NOT q.is_paused
ORDER BY d.subscription_id, d.id LIMIT %s
"""


def go_on() -> int:
    """Take back what was held for a pause that is over; return how many deliveries.

    Each batch is a transaction of its own: called again, it goes on where it ended.
    """
    total = 0
    while taken := _take_back():
        total += taken
        nudge()
        if taken < BATCH:
            break
    return total


@transaction.atomic
def _take_back() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_PARKED, [BATCH])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return 0
        # Channels first, as everybody who changes lanes and deliveries does.
        cursor.execute(
            """SELECT id FROM notifications_channel WHERE id IN (
                 SELECT channel_id FROM notifications_delivery WHERE id = ANY(%(ids)s)
                 UNION SELECT l.channel_id FROM notifications_delivery d
                 JOIN notifications_lane l ON l.id = d.lane_id WHERE d.id = ANY(%(ids)s)) ORDER BY id FOR UPDATE""",
            {"ids": ids},
        )
        locked = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            """WITH back AS (
                 UPDATE notifications_delivery SET hold_cause = '', due_at = now(),
                   status = CASE WHEN attempt_count > 0 THEN 'retrying' ELSE 'pending' END
                 WHERE id = ANY(%s) AND hold_cause = 'paused' RETURNING id, lane_id
               ), lanes AS (
                 UPDATE notifications_lane l SET blocked_by_id = NULL, due_at = now()
                 FROM back WHERE l.id = back.lane_id AND l.blocked_by_id = back.id
               )
               SELECT count(*) FROM back""",
            [ids],
        )
        taken = int(cursor.fetchone()[0])
    channels.wake(locked)
    return taken
