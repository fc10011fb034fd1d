"""Closing digests at fan-out: a period is over, and what was collected in it becomes one delivery.

1. The digest's event is taken up by the sequencer like any other, and becomes the delivery in the same
   transaction that fixes what it carries.
2. In order: a delivery goes into the digest once nothing before it in its lane is under way; those that have
   to wait longer go into the next one. A digest waits until the one before it has ended.
3. What it carries keeps its place in its lane, and the lane stands still, until the digest has ended
   (finish_digests): nothing that comes later overtakes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from events import prepared
from events.prepared import array

from .collect import KEY, wait
from .deliveries import Draft

LATER = 60  # seconds until a digest that has to wait is looked at again, should nobody say so before

# What each lane comes to first that is not of these digests, by lane; one in no lane waits for nothing.
_MEMBERS = """
WITH mine AS MATERIALIZED (
  SELECT c.digest_id, d.id, d.lane_id, d.sequence, d.channel_id
  FROM notifications_collected c JOIN notifications_delivery d ON d.id = c.delivery_id
  WHERE c.digest_id = ANY(%s::bigint[]) AND d.status = 'held' AND d.hold_cause = 'collected'
), stops AS MATERIALIZED (
  SELECT l.lane_id, min(p.sequence) AS sequence
  FROM (SELECT DISTINCT lane_id FROM mine WHERE lane_id IS NOT NULL) l
  JOIN notifications_delivery p ON p.lane_id = l.lane_id AND p.status IN ('pending', 'retrying', 'held')
  LEFT JOIN mine ON mine.id = p.id
  WHERE mine.id IS NULL GROUP BY l.lane_id
), members AS (
  SELECT mine.*, stops.lane_id IS NULL OR mine.sequence < stops.sequence AS is_ready
  FROM mine LEFT JOIN stops ON stops.lane_id = mine.lane_id
)
"""
_DUE = f"""{_MEMBERS}
SELECT g.id, g.event_id, g.subscription_id, g.recipient, coalesce(m.in_lane, false), m.last IS NOT NULL,
  coalesce(m.any, false), ch.endpoint_id, ch.profile_id,
  EXISTS (SELECT FROM notifications_digest b WHERE b.subscription_id = g.subscription_id
    AND b.recipient = g.recipient AND b.delivery_id IS NOT NULL AND b.finished_at IS NULL)
FROM notifications_digest g
LEFT JOIN (
  SELECT digest_id, true AS any, bool_or(lane_id IS NOT NULL) AS in_lane, max(id) FILTER (WHERE is_ready) AS last
  FROM members GROUP BY digest_id) m ON m.digest_id = g.id
LEFT JOIN notifications_delivery l ON l.id = m.last
LEFT JOIN notifications_channel ch ON ch.id = l.channel_id
WHERE g.id = ANY(%s::bigint[])
"""  # noqa: S608 - two constants
_UNREADY = f"{_MEMBERS} SELECT digest_id, id, is_ready FROM members WHERE NOT is_ready"  # noqa: S608
# Where a person sent or cancelled one meanwhile, it is in no digest.
_LET_GO = """
DELETE FROM notifications_collected c USING notifications_delivery d
WHERE c.digest_id = ANY(%s::bigint[]) AND d.id = c.delivery_id
  AND NOT (d.status = 'held' AND d.hold_cause = 'collected')
"""
_CLOSE = """
UPDATE notifications_digest g SET delivery_id = d.id, event_id = NULL, closed_at = now()
FROM notifications_delivery d
WHERE g.id = ANY(%s::bigint[]) AND d.event_id = g.event_id AND d.subscription_id = g.subscription_id
  AND d.recipient = g.recipient
"""
_NEXT = """
WITH next AS (
  INSERT INTO notifications_digest (subscription_id, recipient, opened_at, due_at, passed, size)
  SELECT g.subscription_id, g.recipient, now(), now() + make_interval(mins => s.storm_minutes), 0, 0
  FROM notifications_digest g JOIN notifications_subscription s ON s.id = g.subscription_id
  WHERE g.id = ANY(%s::bigint[])
  RETURNING id, subscription_id, recipient
)
SELECT next.id, g.id FROM next JOIN notifications_digest g USING (subscription_id, recipient)
WHERE g.id = ANY(%s::bigint[])
"""
_MOVE = """
UPDATE notifications_collected c SET digest_id = x.digest_id
FROM unnest(%s::bigint[], %s::bigint[]) x(delivery_id, digest_id) WHERE c.delivery_id = x.delivery_id
"""
_SIZE = """
WITH sizes AS (
  SELECT g.id, g.delivery_id, (SELECT count(*) FROM notifications_collected c WHERE c.digest_id = g.id) AS size
  FROM notifications_digest g WHERE g.id = ANY(%s::bigint[])
), idle AS (
  UPDATE notifications_delivery d SET status = 'cancelled', due_at = NULL, settled_at = now(),
    last_error = 'Nothing was left for it to carry.'
  FROM sizes WHERE sizes.size = 0 AND d.id = sizes.delivery_id AND d.status = 'pending'
)
UPDATE notifications_digest g SET size = sizes.size FROM sizes WHERE g.id = sizes.id
"""
_EMPTY = """
UPDATE notifications_digest g SET event_id = NULL
WHERE g.id = ANY(%s::bigint[]) AND NOT EXISTS (
  SELECT FROM notifications_collected c JOIN notifications_delivery d ON d.id = c.delivery_id
  WHERE c.digest_id = g.id AND d.status = 'held' AND d.hold_cause = 'collected')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A digest whose period is over."""

    digest_id: int
    event_id: int
    is_empty: bool
    draft: Draft | None  # None: it is empty, or has to wait


def due(keys: Mapping[int, str]) -> dict[int, Closing]:
    """Return the digests among these events, of which the ordering keys are given, by event."""
    likely = [event_id for event_id, key in keys.items() if key == KEY]
    if not likely:
        return {}
    rows = prepared.run(
        "SELECT id FROM notifications_digest WHERE event_id = ANY(%s::bigint[]) ORDER BY id", [array(likely)]
    )
    digest_ids = array(row[0] for row in rows)
    return {row[1]: _closing(row) for row in prepared.run(_DUE, [digest_ids, digest_ids])} if rows else {}


def _closing(row: Sequence[Any]) -> Closing:
    digest_id, event_id, subscription_id, recipient, in_lane, is_ready, has_any, endpoint_id, profile_id = (
        row[:9]
    )
    waits = not is_ready or (in_lane and row[9])
    draft = Draft(
        event_id=event_id,
        subscription_id=subscription_id,
        recipient=recipient,
        endpoint_id=endpoint_id,
        profile_id=profile_id,
        lane_key=KEY if in_lane else None,
        undeliverable="",
    )
    return Closing(
        digest_id=digest_id, event_id=event_id, is_empty=not has_any, draft=None if waits else draft
    )


def close(closings: Sequence[Closing]) -> None:
    """Fix what these digests carry, once their deliveries are written; let the others wait."""
    going = sorted(each.digest_id for each in closings if each.draft)
    waiting = [each.event_id for each in closings if each.draft is None and not each.is_empty]
    empty = [each.digest_id for each in closings if each.is_empty]
    if waiting:
        prepared.run(
            """UPDATE events_inboxentry SET due_at = clock_timestamp() + make_interval(secs => %s::int)
               WHERE event_id = ANY(%s::bigint[])""",
            [str(LATER), array(waiting)],
        )
    if empty:
        prepared.run(_EMPTY, [array(empty)])
    if going:
        _close(array(going))


def _close(digest_ids: str) -> None:
    # A person who sends or cancels one of them holds this lock: nothing of it changes from here on.
    prepared.run(
        "SELECT FROM notifications_digest WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE", [digest_ids]
    )
    prepared.run(_LET_GO, [digest_ids])
    prepared.run(_CLOSE, [digest_ids])
    unready = prepared.run(_UNREADY, [digest_ids])
    if unready:
        concerned = array({row[0] for row in unready})
        followers = {of: pk for pk, of in prepared.run(_NEXT, [concerned, concerned])}
        moved = [(pk, followers[digest_id]) for digest_id, pk, _ in unready]
        prepared.run(_MOVE, [array(pk for pk, _ in moved), array(to for _, to in moved)])
        wait(sorted(followers.values()))
    prepared.run(_SIZE, [digest_ids])
