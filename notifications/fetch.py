"""Taking what is due on leased channels: its ids are on record before anything of it is sent."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from events import prepared
from events.prepared import array

from .claim import PIPELINE, Lease


class Claimed(msgspec.Struct, frozen=True):
    """A delivery taken for sending, with all that rendering needs."""

    id: int
    uid: UUID
    channel_id: int
    epoch: int
    lane_id: int | None
    sequence: int | None
    status: str
    subscription_id: int
    recipient: str
    attempt_count: int
    crash_count: int
    created_at: datetime
    # The last one of its lane that was sent or will be; skipped, cancelled and digested ones do not count.
    previous_uid: UUID | None
    previous_sequence: int | None
    body: str | None  # None: not rendered yet
    headers: Sequence[Sequence[str]] | None
    query: Sequence[Sequence[str]] | None
    event_uid: UUID
    event_type: str
    event_label: str
    event_source: str
    occurred_at: datetime
    ordering_key: str
    data: str | None  # None where the body is rendered already
    replay_id: int | None  # reopened by this replay


_FETCH = prepared.compact("""
WITH held AS MATERIALIZED (
  SELECT c.id, c.epoch, c.wake, h.room, h.depth, k.opened_at IS NOT NULL AS is_open,
    k.failures > 0 AS is_ailing, k.backlog_left > 0 AS has_backlog,
    extract(epoch FROM now() - k.closed_at)::float8 AS since_closed,
    -- A rate rests channels that nobody holds: whoever asks here has its tokens already.
    c.is_paused OR coalesce(c.not_before > now() AND c.rest_cause <> 'rate', false)
      OR (k.opened_at IS NOT NULL AND NOT h.probes) AS is_paused,
    h.single AND EXISTS (
      SELECT FROM notifications_channel s WHERE s.circuit_id = c.circuit_id AND s.id <> c.id
        AND s.leased_until > clock_timestamp() AND cardinality(s.in_flight) > 0) AS has_to_wait,
    h.single AND EXISTS (
      SELECT FROM notifications_channel s WHERE s.circuit_id = c.circuit_id AND s.owner <> c.owner
        AND s.leased_until > clock_timestamp()) AS has_rival
  FROM unnest(%(channels)s::bigint[], %(epochs)s::bigint[], %(rooms)s::int[], %(depths)s::int[],
              %(probes)s::bool[], %(singles)s::bool[]) h(id, epoch, room, depth, probes, single)
  JOIN notifications_channel c ON c.id = h.id AND c.epoch = h.epoch
  JOIN notifications_circuit k ON k.id = c.circuit_id
  WHERE c.leased_until > clock_timestamp()
), work AS MATERIALIZED (
  SELECT held.id AS claimed_by, NULL::bigint AS of_lane, NULL::bigint AS tail, d.*, false AS is_first,
    true AS here, d.crash_count < 2 AS may_go
  FROM held CROSS JOIN LATERAL (
    SELECT d.* FROM notifications_delivery d
    WHERE d.channel_id = held.id AND d.lane_id IS NULL AND d.status IN ('pending', 'retrying')
      AND d.due_at <= now() AND d.id <> ALL(%(busy)s::bigint[])
    ORDER BY d.due_at, d.id LIMIT held.room * held.depth) d
  WHERE NOT (held.is_paused OR held.has_to_wait)
  UNION ALL
  SELECT held.id AS claimed_by, l.id AS of_lane, l.tail, d.* FROM held CROSS JOIN LATERAL (
    -- Short lanes share a run: as many as fill the room, by what waits in each.
    SELECT l.id, l.next_sequence, l.tail, l.most,
      sum(l.waiting) OVER (ORDER BY l.due_at, l.id ROWS UNBOUNDED PRECEDING) - l.waiting AS before
    FROM (SELECT l.*, LEAST(GREATEST(l.tail - l.next_sequence + 1, 0), l.most) AS waiting
          -- Of many lanes, from each as many as may be unsettled: beyond that a run waits for settling.
          FROM (SELECT l.*, CASE WHEN count(*) OVER () > held.room THEN LEAST(%(pipeline)s::int, held.depth)
                                 ELSE held.depth END AS most
                FROM (SELECT l.id, l.next_sequence, l.tail, l.due_at FROM notifications_lane l
                      WHERE l.channel_id = held.id AND l.due_at <= now() AND l.id <> ALL(%(busy_lanes)s::bigint[])
                      ORDER BY l.due_at LIMIT held.room * held.depth) l) l) l) l
  LEFT JOIN LATERAL (
    SELECT d.*, row_number() OVER (ORDER BY d.sequence) = 1 AS is_first,
      -- A mail for another profile ends the run; first in its lane, it takes the lane there.
      bool_and(d.recipient = '' OR d.channel_id = held.id)
        OVER (ORDER BY d.sequence) AS here,
      bool_and(d.status <> 'held' AND d.crash_count < 2) OVER (ORDER BY d.sequence) AS may_go
    FROM notifications_delivery d
    -- Waiting or held, said so that no plan walks the index of statuses, with all that waits, for each lane.
    WHERE d.lane_id = l.id AND d.sequence >= l.next_sequence AND (d.due_at IS NOT NULL OR d.status = 'held')
    ORDER BY d.sequence LIMIT LEAST(l.most, held.room * held.depth - l.before)) d ON d.here OR d.is_first
  WHERE NOT (held.is_paused OR held.has_to_wait) AND l.before < held.room * held.depth
), suspect AS MATERIALIZED (
  -- What two workers died on in a row is taken alone, so that only the guilty is counted once more, and held.
  SELECT id FROM work WHERE %(alone)s::bool AND crash_count >= 2 AND status <> 'held' AND here
    AND (is_first OR of_lane IS NULL)
  ORDER BY due_at, id LIMIT 1
), taken AS MATERIALIZED (
  SELECT work.*, here AND CASE WHEN suspect.id IS NULL THEN may_go ELSE work.id = suspect.id END AS goes
  FROM work LEFT JOIN suspect ON true
), marked AS (
  UPDATE notifications_channel c SET in_flight = c.in_flight || w.ids
  FROM held, (SELECT claimed_by, array_agg(id) AS ids FROM taken WHERE goes GROUP BY claimed_by) w,
    -- Several of these rows are locked elsewhere too: always in this order.
    (SELECT id FROM notifications_channel WHERE id IN (SELECT claimed_by FROM taken) ORDER BY id FOR UPDATE) locked
  WHERE c.id = w.claimed_by AND held.id = c.id AND locked.id = c.id AND c.epoch = held.epoch
    AND c.leased_until > clock_timestamp()
    -- The rows above are those of the snapshot: whoever changed some since has moved the wake counter.
    AND c.wake = held.wake
  RETURNING c.id
)
SELECT held.id, held.wake, held.is_paused, held.is_open, held.is_ailing, held.has_backlog, held.since_closed,
       held.has_rival, held.has_to_wait OR (found.id IS NOT NULL AND (marked.id IS NULL OR found.leaves_some)),
       coalesce(found.has_suspects, false),
       w.of_lane, w.tail, CASE WHEN w.here THEN NULL ELSE w.channel_id END,
       w.id, w.uid, w.claimed_by, held.epoch, w.lane_id, w.sequence, w.status, w.subscription_id, w.recipient,
       w.attempt_count, w.crash_count, w.created_at, p.uid, p.sequence, b.body, b.headers, b.query,
       e.uid, t.code, t.label, e.source, e.occurred_at, e.ordering_key, CASE WHEN b.body IS NULL THEN e.data END,
       w.replay_id
FROM held
LEFT JOIN marked ON marked.id = held.id
LEFT JOIN (SELECT claimed_by AS id, bool_or(NOT goes) AS leaves_some, bool_or(crash_count >= 2) AS has_suspects
           FROM taken WHERE here AND status <> 'held' GROUP BY claimed_by) found ON found.id = held.id
LEFT JOIN taken w ON w.claimed_by = held.id
  AND (w.goes AND marked.id IS NOT NULL OR w.id IS NULL OR w.is_first AND (w.status = 'held' OR NOT w.here))
LEFT JOIN LATERAL (
  (SELECT p.uid, p.sequence FROM notifications_delivery p
   WHERE w.is_first AND p.lane_id = w.lane_id AND p.sequence < w.sequence
     AND p.status NOT IN ('skipped', 'cancelled', 'dead', 'digested')
   ORDER BY p.sequence DESC LIMIT 1)
  UNION ALL
  -- Or it is on its way again, in the lane of a replay.
  (SELECT p.uid, p.sequence FROM notifications_lane r CROSS JOIN LATERAL (
     SELECT p.uid, p.sequence FROM notifications_delivery p
     WHERE p.lane_id = r.id AND p.sequence < w.sequence
       AND p.status NOT IN ('skipped', 'cancelled', 'dead', 'digested')
     ORDER BY p.sequence DESC LIMIT 1) p
   WHERE w.is_first AND r.home_id = w.lane_id)
  ORDER BY sequence DESC LIMIT 1) p ON true
LEFT JOIN notifications_renderedbody b ON b.delivery_id = w.id AND b.delivery_created_at = w.created_at
LEFT JOIN events_event e ON e.id = w.event_id
LEFT JOIN events_eventtype t ON t.id = e.type_id
ORDER BY w.of_lane, w.sequence, w.due_at, w.id
""")


@dataclass(frozen=True, slots=True)
class Work:
    """What one look at the leased channels found."""

    claimed: list[Claimed]
    # Lanes that are due and have nothing left to send, with the tail that they were seen at.
    empty_lanes: dict[int, int]
    moving_lanes: dict[int, int]  # lanes whose head is for another channel, and that channel


def fetch(leases: Iterable[Lease], *, alone: bool) -> Work:
    """Take what is due on these channels, up to the room of each; lanes together and in order.

    What two workers died on in a row is left, with what comes after it in its lane; or, `alone` as nothing else
    is under way, one such delivery is all that is taken. The ids are written to their channels in the same
    statement, before anything is sent. A lease that turns out to be lost or paused is marked so.
    """
    asked = {lease.channel_id: lease for lease in leases}
    held = asked.values()
    parameters = {
        "channels": array(asked),
        "epochs": array(lease.epoch for lease in held),
        "rooms": array(lease.room for lease in held),
        "depths": array(lease.depth for lease in held),
        "probes": array(lease.probes for lease in held),
        "singles": array(lease.is_single for lease in held),
        "alone": alone,
        "pipeline": str(PIPELINE),
        "busy": array(delivery for lease in held for delivery in lease.busy),
        "busy_lanes": array({lane for lease in held for lane in lease.busy.values() if lane}),
    }
    singles = [lease.circuit_id for lease in asked.values() if lease.is_single]
    if singles:
        with transaction.atomic(), connection.cursor() as cursor:
            # A statement of its own, so that the next one sees what the others hold in flight.
            cursor.execute(
                # All that it will lock, so that it locks them in order.
                """SELECT id FROM notifications_channel WHERE circuit_id = ANY(%s) OR id = ANY(%s)
                   ORDER BY id FOR UPDATE""",
                [singles, list(asked)],
            )
            rows = prepared.run(_FETCH, parameters)
    else:
        rows = prepared.run(_FETCH, parameters)
    seen: set[int] = set()
    work = Work([], {}, {})
    for channel_id, *row in rows:
        lease = asked[channel_id]
        if channel_id not in seen:
            seen.add(channel_id)
            for name, value in zip(_SEEN, row, strict=False):
                setattr(lease, name, value)
        of_lane, tail, moves_to, *columns = row[len(_SEEN) :]
        if moves_to is not None:
            work.moving_lanes[of_lane] = moves_to
        elif columns[0] is not None:
            last = work.claimed[-1] if work.claimed else None
            if last and of_lane and last.lane_id == of_lane:
                columns[_PREVIOUS] = last.uid, last.sequence
            work.claimed.append(_claimed(columns))
        elif of_lane is not None:
            work.empty_lanes[of_lane] = tail
    for channel_id, lease in asked.items():
        lease.is_lost = lease.is_lost or channel_id not in seen
    return work


# What the first columns after its id say of a lease.
_SEEN = ("wake", "is_paused", "is_open", "is_ailing", "has_backlog", "seconds_since_closed", "has_rival",
         "may_have_work", "has_suspects")  # fmt: skip
_NAMES = Claimed.__struct_fields__
# The first of a lane is told what came before it; the others follow one another.
_PREVIOUS = slice(_NAMES.index("previous_uid"), _NAMES.index("previous_sequence") + 1)
_PAIRS = (_NAMES.index("headers"), _NAMES.index("query"))


def _claimed(columns: list[Any]) -> Claimed:
    for index in _PAIRS:
        columns[index] = None if columns[index] is None else json.loads(columns[index])
    return Claimed(*columns)
