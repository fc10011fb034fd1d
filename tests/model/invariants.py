"""What must hold after every step, asked of the real tables; each check names what it found."""

from collections.abc import Iterable
from typing import Any

from django.db import connection

from notifications.claim import Lease

_VIOLATIONS = """
WITH d AS MATERIALIZED (SELECT * FROM notifications_delivery),
     l AS MATERIALIZED (SELECT * FROM notifications_lane),
     e AS MATERIALIZED (
       SELECT e.id FROM events_event e
       WHERE NOT EXISTS (SELECT FROM events_inboxentry i WHERE i.event_id = e.id))
SELECT 'lost', 'passed over by its lane', d.id, NULL FROM d JOIN l ON l.id = d.lane_id
WHERE d.status IN ('pending', 'retrying', 'held') AND d.sequence < l.next_sequence
UNION ALL
SELECT 'lost', 'in a lane that is neither due nor blocked', d.id, NULL FROM d JOIN l ON l.id = d.lane_id
WHERE d.status IN ('pending', 'retrying', 'held') AND l.due_at IS NULL AND l.blocked_by_id IS NULL
UNION ALL
SELECT 'lost', 'blocks its lane and is not held', d.id, NULL FROM l JOIN d ON d.id = l.blocked_by_id
WHERE d.status <> 'held'
UNION ALL
SELECT 'lost', 'waits without a time', id, NULL FROM d
WHERE status IN ('pending', 'retrying') AND (due_at IS NULL OR channel_id IS NULL)
UNION ALL
SELECT 'lost', 'held without a cause', id, NULL FROM d WHERE status = 'held' AND hold_cause = ''
UNION ALL
SELECT 'asleep', 'a channel', c.id, concat_ws(' ', c.due_at, c.leased_until, work.due_at)
FROM notifications_channel c CROSS JOIN LATERAL (
  SELECT min(w.due_at) AS due_at FROM (
    SELECT d.due_at FROM d WHERE d.channel_id = c.id AND d.lane_id IS NULL AND d.status IN ('pending', 'retrying')
    UNION ALL
    SELECT l.due_at FROM l WHERE l.channel_id = c.id AND l.due_at IS NOT NULL
  ) w) work
WHERE NOT c.is_paused AND CASE
  WHEN c.leased_until IS NOT NULL THEN c.due_at IS DISTINCT FROM c.leased_until
  ELSE work.due_at IS NOT NULL AND (c.due_at IS NULL
         OR c.due_at > GREATEST(work.due_at, c.not_before, clock_timestamp())) END
UNION ALL
SELECT 'gap', 'a lane', l.id, concat_ws(' ', l.tail, count(d.id), min(d.sequence), max(d.sequence))
FROM l LEFT JOIN d ON d.lane_id = l.id GROUP BY l.id, l.tail
HAVING NOT (count(d.id) = l.tail AND count(DISTINCT d.sequence) = l.tail
            AND min(d.sequence) = 1 AND max(d.sequence) = l.tail)
UNION ALL
-- The model publishes one event after another, so their ids are in the order of commit.
SELECT 'overtaken', 'an event in a lane', o.event_id, o.lane_id::text FROM (
  SELECT event_id, lane_id, lag(event_id) OVER (PARTITION BY lane_id ORDER BY sequence) AS before
  FROM d WHERE lane_id IS NOT NULL) o
WHERE o.event_id < o.before
UNION ALL
SELECT 'quarantined', 'an event', event_id, error FROM events_quarantinedevent
UNION ALL
SELECT 'incomplete', 'an event', e.id, concat_ws(' ', count(d.id), count(DISTINCT d.subscription_id))
FROM e LEFT JOIN d ON d.event_id = e.id GROUP BY e.id
HAVING count(d.id) <> %(subscriptions)s OR count(DISTINCT d.subscription_id) <> %(subscriptions)s
"""

Found = list[tuple[Any, ...]]


def violations(*, subscriptions: int) -> Found:
    """Look once for all of them; every event is to become so many deliveries."""
    return _rows(_VIOLATIONS, {"subscriptions": subscriptions})


def _rows(statement: str, parameters: dict[str, int] | None = None) -> Found:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def nothing_is_lost(found: Found) -> None:
    """Each delivery is final, due at a known time, held for a cause, or behind a head that is one of these."""
    assert [row for row in found if row[0] == "lost"] == []


def no_channel_sleeps_over_work(found: Found) -> None:
    """A channel with claimable work is due when that is; a leased one when its lease ends."""
    assert [row for row in found if row[0] == "asleep"] == []


def lanes_have_no_gaps(found: Found) -> None:
    """Each lane holds the numbers 1 to its tail, each once."""
    assert [row for row in found if row[0] == "gap"] == []


def lanes_follow_the_order_of_commit(found: Found) -> None:
    """What was published after another event had committed comes after it in every lane."""
    assert [row for row in found if row[0] == "overtaken"] == []


def no_event_is_quarantined(found: Found) -> None:
    """Fan-out found no fault in any event; one that is fanned out twice breaks delivery_once, and lands there."""
    assert [row for row in found if row[0] == "quarantined"] == []


def each_event_became_its_deliveries(found: Found) -> None:
    """Each event that was fanned out has one delivery for each subscription."""
    assert [row for row in found if row[0] == "incomplete"] == []


def what_a_live_worker_holds_is_on_record(leases: Iterable[Lease]) -> None:
    """A running lease is its worker's alone, and its channel lists all that was taken and not settled."""
    listed = {
        (channel_id, epoch): set(in_flight)
        for channel_id, epoch, in_flight in _rows(
            """SELECT id, epoch, in_flight FROM notifications_channel WHERE leased_until > clock_timestamp()"""
        )
    }
    missing = {
        lease.channel_id: lease.busy.keys() - listed.get((lease.channel_id, lease.epoch), set())
        for lease in leases
        if (lease.channel_id, lease.epoch) not in listed
        or not lease.busy.keys() <= listed[lease.channel_id, lease.epoch]
    }
    assert missing == {}


def engine_state() -> Found:
    """All that decides what happens next: deliveries, lanes and channels, as text."""
    return _rows(
        """SELECT 'delivery', d::text FROM notifications_delivery d
           UNION ALL SELECT 'lane', l::text FROM notifications_lane l
           UNION ALL SELECT 'channel', c::text FROM notifications_channel c
           ORDER BY 1, 2"""
    )
