"""Settling what a digest carries, once the digest itself has ended, however it did.

Called by the worker that settles a digest, by whoever skips or cancels one, and each minute, should either of
them not have come so far. Each batch is a transaction of its own, and can be repeated.
"""

import time

from django.db import connection, transaction

from . import channels
from .nudge import nudge

BATCH = 2_000  # deliveries in one transaction

_ENDED = """
SELECT g.id FROM notifications_digest g JOIN notifications_delivery d ON d.id = g.delivery_id
WHERE g.delivery_id IS NOT NULL AND g.finished_at IS NULL
  AND d.status NOT IN ('pending', 'retrying', 'held') AND g.id <> ALL(%s) ORDER BY g.id LIMIT 1
"""
_MEMBERS = """
SELECT c.delivery_id FROM notifications_collected c
WHERE c.digest_id = %s AND c.delivery_id > %s ORDER BY c.delivery_id LIMIT %s
"""
_SETTLE = """
WITH done AS (
  UPDATE notifications_delivery SET status = 'digested', hold_cause = '', settled_at = now()
  WHERE id = ANY(%s) AND status = 'held' AND hold_cause = 'collected' RETURNING lane_id
)
SELECT count(*), coalesce(array_agg(DISTINCT lane_id) FILTER (WHERE lane_id IS NOT NULL), '{}') FROM done
"""
# Each lane goes on with what comes next in it; where that is held, it stands still again.
_GO_ON = """
UPDATE notifications_lane l SET
  next_sequence = coalesce(h.sequence, l.tail + 1),
  blocked_by_id = CASE WHEN h.status = 'held' THEN h.id END,
  due_at = CASE WHEN h.status <> 'held' THEN now() END
FROM notifications_lane o LEFT JOIN LATERAL (
  SELECT d.id, d.sequence, d.status FROM notifications_delivery d
  WHERE d.lane_id = o.id AND d.sequence >= o.next_sequence AND (d.due_at IS NOT NULL OR d.status = 'held')
  ORDER BY d.sequence LIMIT 1) h ON true
WHERE l.id = o.id AND o.id = ANY(%s)
"""
_END = """
WITH ended AS (
  UPDATE notifications_digest SET finished_at = now() WHERE id = %s RETURNING subscription_id, recipient
)
UPDATE events_inboxentry SET due_at = now()
WHERE due_at IS NOT NULL AND event_id IN (
  SELECT g.event_id FROM notifications_digest g JOIN ended USING (subscription_id, recipient)
  WHERE g.delivery_id IS NULL AND g.event_id IS NOT NULL AND g.due_at <= now())
"""


def finish(*, seconds: float = float("inf")) -> int:
    """Settle what the digests that have ended carry; return how many deliveries. One statement if none has.

    After so many `seconds` what is left is left to the next call, which goes on there.
    """
    total, ends = 0, time.monotonic() + seconds
    seen: list[int] = []
    while time.monotonic() < ends and (digest_id := _next(seen)):
        seen.append(digest_id)
        after: int | None = 0
        while after is not None and time.monotonic() < ends:
            done, after = _batch(digest_id, after)
            total += done
    if seen:
        nudge()
    return total


def remind() -> int:
    """Give digests that have lost their place in the inbox another one; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO events_inboxentry (event_id, due_at)
               SELECT g.event_id, g.due_at FROM notifications_digest g
               WHERE g.event_id IS NOT NULL AND g.delivery_id IS NULL
                 AND NOT EXISTS (SELECT FROM events_inboxentry i WHERE i.event_id = g.event_id)
                 AND NOT EXISTS (SELECT FROM events_quarantinedevent q WHERE q.event_id = g.event_id)
               ON CONFLICT DO NOTHING"""
        )
        return int(cursor.rowcount)


def _next(seen: list[int]) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_ENDED, [seen])
        row = cursor.fetchone()
    return row[0] if row else None


@transaction.atomic
def _batch(digest_id: int, after: int) -> tuple[int, int | None]:
    """Settle some; return how many, and the delivery to go on after: None at the end."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERS, [digest_id, after, BATCH])
        ids = [row[0] for row in cursor.fetchall()]
        # Channels first, as everybody who changes lanes and deliveries does.
        cursor.execute(
            """SELECT id FROM notifications_channel WHERE id IN (
                 SELECT l.channel_id FROM notifications_delivery d
                 JOIN notifications_lane l ON l.id = d.lane_id WHERE d.id = ANY(%s)) ORDER BY id FOR UPDATE""",
            [ids],
        )
        locked = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            """SELECT id FROM notifications_lane WHERE id IN (
                 SELECT lane_id FROM notifications_delivery WHERE id = ANY(%s)) ORDER BY id FOR UPDATE""",
            [ids],
        )
        cursor.execute(_SETTLE, [ids])
        done, lanes = cursor.fetchone()
        if lanes:
            cursor.execute(_GO_ON, [lanes])
        is_last = len(ids) < BATCH
        if is_last:
            cursor.execute(_END, [digest_id])
    if lanes:
        channels.wake(locked)
    return done, None if is_last else ids[-1]
