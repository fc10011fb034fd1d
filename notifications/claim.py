"""Finding work: lease channels, then read what is due on them. Delivery rows are never scanned.

A leased channel's due_at is the end of its lease, so an expired lease is simply due again and the
same index finds both. Times are the database's; a worker measures its own lease on its monotonic
clock from before the statement, so it always believes in less than it has.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from .crashes import account_for_crash

# The length of a run. A lane's next deliveries may leave before the acceptance of the ones before
# them is settled, at most so many; in any order it only saves statements.
PIPELINE = 8


@dataclass(slots=True, kw_only=True)
class Lease:
    """A channel that this process holds, and until when it may start sends on it."""

    channel_id: int
    endpoint_id: int | None
    profile_id: int | None
    epoch: int
    safe_until: float  # monotonic seconds
    room: int = 1  # runs that may be added now
    runs: int = 0  # handed to the threads and not ended
    wake: int = -1
    is_lost: bool = False
    is_paused: bool = False  # by an administrator, by a fault of its own, or because it asked to wait
    may_have_work: bool = True
    served_at: float = 0.0  # monotonic seconds
    busy: set[int] = field(default_factory=set)  # ids of deliveries taken and not settled
    busy_lanes: set[int] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be sent under it."""
        return self.is_lost or self.is_paused

    @property
    def is_done(self) -> bool:
        """Whether it can be given back."""
        return not self.runs and not self.busy and (self.is_over or not self.may_have_work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
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
    # The last one of its lane that was sent or will be; skipped and cancelled ones do not count.
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


def lease(owner: str, *, limit: int) -> list[Lease]:
    """Lease up to `limit` due channels for `owner`; account for what a dead holder may have sent."""
    safe_until = time.monotonic() + settings.DELIVERY_LEASE_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE notifications_channel c
               SET leased_until = t.until, due_at = t.until, owner = %s, epoch = c.epoch + 1
               FROM (SELECT id FROM notifications_channel
                     WHERE due_at <= now() AND NOT is_paused
                     ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED) p,
                    (SELECT clock_timestamp() + make_interval(secs => %s) AS until) t
               WHERE c.id = p.id
               RETURNING c.id, c.endpoint_id, c.profile_id, c.epoch, c.in_flight""",
            [owner, limit, settings.DELIVERY_LEASE_SECONDS],
        )
        rows = cursor.fetchall()
    leases = []
    for channel_id, endpoint_id, profile_id, epoch, in_flight in rows:
        if in_flight:
            account_for_crash(channel_id, epoch, in_flight, owner)
        leases.append(
            Lease(
                channel_id=channel_id,
                endpoint_id=endpoint_id,
                profile_id=profile_id,
                epoch=epoch,
                safe_until=safe_until,
            )
        )
    return leases


_FETCH = """
WITH held AS MATERIALIZED (
  SELECT c.id, c.epoch, c.wake, h.room, (c.is_paused OR coalesce(c.not_before > now(), false)) AS is_paused
  FROM unnest(%(channels)s::bigint[], %(epochs)s::bigint[], %(rooms)s::int[]) h(id, epoch, room)
  JOIN notifications_channel c ON c.id = h.id AND c.epoch = h.epoch
  WHERE c.leased_until > clock_timestamp()
), work AS MATERIALIZED (
  SELECT held.id AS claimed_by, NULL::bigint AS of_lane, NULL::bigint AS tail, d.*
  FROM held CROSS JOIN LATERAL (
    SELECT d.* FROM notifications_delivery d
    WHERE d.channel_id = held.id AND d.lane_id IS NULL AND d.status IN ('pending', 'retrying')
      AND d.due_at <= now() AND d.id <> ALL(%(busy)s::bigint[])
    ORDER BY d.due_at, d.id LIMIT held.room * %(pipeline)s) d
  WHERE NOT held.is_paused
  UNION ALL
  SELECT held.id AS claimed_by, l.id AS of_lane, l.tail, d.* FROM held CROSS JOIN LATERAL (
    SELECT l.id, l.next_sequence, l.tail FROM notifications_lane l
    WHERE l.channel_id = held.id AND l.due_at <= now() AND l.id <> ALL(%(busy_lanes)s::bigint[])
    ORDER BY l.due_at LIMIT held.room) l
  LEFT JOIN LATERAL (
    SELECT d.* FROM notifications_delivery d
    WHERE d.lane_id = l.id AND d.sequence >= l.next_sequence AND d.status IN ('pending', 'retrying', 'held')
    ORDER BY d.sequence LIMIT %(pipeline)s) d ON true
  WHERE NOT held.is_paused
), marked AS (
  UPDATE notifications_channel c SET in_flight = c.in_flight || w.ids
  FROM held, (SELECT claimed_by, array_agg(id) AS ids FROM work
              WHERE status IN ('pending', 'retrying') GROUP BY claimed_by) w
  WHERE c.id = w.claimed_by AND held.id = c.id AND c.epoch = held.epoch AND c.leased_until > clock_timestamp()
    -- The rows above are those of the snapshot: whoever changed some since has moved the wake counter.
    AND c.wake = held.wake
  RETURNING c.id
)
SELECT held.id, held.wake, held.is_paused, marked.id IS NULL AND EXISTS (
         SELECT FROM work m WHERE m.claimed_by = held.id AND m.status IN ('pending', 'retrying')) AS missed,
       w.of_lane, w.tail,
       w.id, w.uid, w.claimed_by, held.epoch, w.lane_id, w.sequence, w.status, w.subscription_id, w.recipient,
       w.attempt_count, w.crash_count, w.created_at, p.uid, p.sequence, b.body, b.headers, b.query,
       e.uid, t.code, t.label, e.source, e.occurred_at, e.ordering_key, CASE WHEN b.body IS NULL THEN e.data END
FROM held
LEFT JOIN marked ON marked.id = held.id
LEFT JOIN work w ON w.claimed_by = held.id AND (marked.id IS NOT NULL OR w.id IS NULL OR w.status = 'held')
LEFT JOIN LATERAL (
  SELECT p.uid, p.sequence FROM notifications_delivery p
  WHERE p.lane_id = w.lane_id AND p.sequence < w.sequence AND p.status NOT IN ('skipped', 'cancelled', 'dead')
  ORDER BY p.sequence DESC LIMIT 1) p ON true
LEFT JOIN notifications_renderedbody b ON b.delivery_id = w.id AND b.delivery_created_at = w.created_at
LEFT JOIN events_event e ON e.id = w.event_id
LEFT JOIN events_eventtype t ON t.id = e.type_id
ORDER BY w.of_lane, w.sequence, w.due_at, w.id
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What one look at the leased channels found."""

    claimed: list[Claimed]
    # Lanes that are due and have nothing left to send, with the tail that they were seen at.
    empty_lanes: dict[int, int]


def fetch(leases: Iterable[Lease]) -> Work:
    """Take what is due on these channels, up to the room of each; lanes together and in order.

    The ids are written to their channels in the same statement, before anything is sent. A lease
    that turns out to be lost or paused is marked so.
    """
    asked = {lease.channel_id: lease for lease in leases}
    parameters: dict[str, Any] = {
        "channels": list(asked),
        "epochs": [lease.epoch for lease in asked.values()],
        "rooms": [lease.room for lease in asked.values()],
        "busy": [delivery for lease in asked.values() for delivery in lease.busy],
        "busy_lanes": [lane for lease in asked.values() for lane in lease.busy_lanes],
        "pipeline": PIPELINE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FETCH, parameters)
        rows = cursor.fetchall()
    seen: set[int] = set()
    work = Work([], {})
    for channel_id, wake, is_paused, missed, of_lane, tail, *columns in rows:
        lease = asked[channel_id]
        seen.add(channel_id)
        lease.wake, lease.is_paused, lease.may_have_work = wake, is_paused, missed
        if columns[0] is not None:
            work.claimed.append(_claimed(columns))
        elif of_lane is not None:
            work.empty_lanes[of_lane] = tail
    for channel_id, lease in asked.items():
        lease.is_lost = lease.is_lost or channel_id not in seen
    return work


_NAMES = tuple(field.name for field in fields(Claimed))
_PAIRS = (_NAMES.index("headers"), _NAMES.index("query"))


def _claimed(columns: list[Any]) -> Claimed:
    for index in _PAIRS:
        columns[index] = None if columns[index] is None else json.loads(columns[index])
    return Claimed(**dict(zip(_NAMES, columns, strict=True)))


def release(leases: Iterable[Lease]) -> None:
    """Give channels back, due when their next work is; at once if any came since it was looked for.

    Idleness is decided by the wake counter of the locked row: a sub-select would see the state
    from before the row lock was won, and lose a wake-up.
    """
    given = list(leases)
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE notifications_channel c SET leased_until = NULL, owner = '', in_flight = '{}',
                 due_at = CASE WHEN c.wake <> s.wake THEN GREATEST(now(), c.not_before)
                               WHEN s.next_due IS NULL THEN NULL ELSE GREATEST(s.next_due, c.not_before) END
               FROM (SELECT h.id, h.epoch, h.wake, LEAST(
                       (SELECT min(d.due_at) FROM notifications_delivery d
                        WHERE d.channel_id = h.id AND d.lane_id IS NULL AND d.status IN ('pending', 'retrying')),
                       (SELECT min(l.due_at) FROM notifications_lane l
                        WHERE l.channel_id = h.id AND l.due_at IS NOT NULL)) AS next_due
                     FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) h(id, epoch, wake)) s
               -- Past its lease it is left as it is: whoever takes over has to know what was in flight.
               WHERE c.id = s.id AND c.epoch = s.epoch AND c.leased_until > clock_timestamp()""",
            [[x.channel_id for x in given], [x.epoch for x in given], [x.wake for x in given]],
        )
