"""Writing the deliveries of a fanned-out batch: two or three statements, whatever its size."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from events import prepared
from events.ids import uuid7s
from events.prepared import array

from . import channels

Destination = tuple[int | None, int | None]  # an endpoint, or an SMTP profile
Lane = tuple[int, str, str]  # what one is known by: subscription, key, recipient


@dataclass(slots=True, kw_only=True)
class Draft:
    """A delivery that is to be written."""

    event_id: int
    subscription_id: int
    recipient: str
    endpoint_id: int | None
    profile_id: int | None
    lane_key: str | None  # None: any order
    undeliverable: str  # why it can go nowhere; empty: it can

    @property
    def destination(self) -> Destination:
        """What it belongs to: the ids of its endpoint and its SMTP profile."""
        return self.endpoint_id, self.profile_id

    @property
    def lane(self) -> Lane | None:
        """What its lane is known by; one that can go nowhere takes no number."""
        if self.lane_key is None or self.undeliverable:
            return None
        return self.subscription_id, self.lane_key, self.recipient


_FIND = """
SELECT endpoint_id, profile_id, shard, id FROM notifications_channel
WHERE endpoint_id = ANY(%s::bigint[]) OR profile_id = ANY(%s::bigint[]) OR id IN (
  SELECT l.channel_id FROM notifications_lane l
  JOIN unnest(%s::bigint[], %s::text[], %s::text[]) x(subscription_id, key, recipient)
    USING (subscription_id, key, recipient))
ORDER BY id
"""
_LOCK = f"{_FIND} FOR UPDATE"

_DRAFTS = """
unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[])
  WITH ORDINALITY AS d(uid, event_id, subscription_id, recipient, undeliverable, channel_id, key, position)
"""


def _insert(rows: str) -> str:
    return f"""
written AS (
  INSERT INTO notifications_delivery
    (uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence, status, hold_cause,
     due_at, attempt_count, crash_count, last_error, settled_at)
  SELECT uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence,
         CASE WHEN undeliverable = '' THEN 'pending' ELSE 'suppressed' END, '',
         CASE WHEN undeliverable = '' THEN now() END, 0, 0, undeliverable,
         CASE WHEN undeliverable <> '' THEN now() END
  FROM {rows} ORDER BY position
  RETURNING channel_id
)"""  # noqa: S608 - a constant of ours


def _wake(channel_ids: str) -> str:
    return channels.WAKE.replace("%s::bigint[]", f"ARRAY({channel_ids})")


# Channels are locked after the rest is written: their workers wait for whoever has them locked.
_IN_ANY_ORDER = prepared.compact(f"""
WITH d AS MATERIALIZED (SELECT *, NULL::bigint AS lane_id, NULL::bigint AS sequence FROM {_DRAFTS}),
{_insert("d")}, locked AS (
  SELECT id FROM notifications_channel WHERE id IN (SELECT channel_id FROM written) ORDER BY id FOR UPDATE
)
{_wake("SELECT id FROM locked")}
""")  # noqa: S608 - constants of ours
# Lanes are locked after their channels, as by everybody; in one statement, as workers wait meanwhile.
_IN_ORDER = prepared.compact(f"""
WITH d AS MATERIALIZED (
  SELECT *, row_number() OVER (lane ORDER BY position) AS nth, count(*) OVER lane AS of_lane
  FROM {_DRAFTS} WINDOW lane AS (PARTITION BY subscription_id, key, recipient)
), locked AS MATERIALIZED (
  -- A lane may still be on the channel of an earlier destination.
  SELECT c.id FROM notifications_channel c WHERE c.id IN (SELECT channel_id FROM d) OR c.id IN (
    SELECT l.channel_id FROM d JOIN notifications_lane l USING (subscription_id, key, recipient) WHERE d.nth = 1)
  ORDER BY c.id FOR UPDATE
), lanes AS (
  -- An idle lane goes to where its first new delivery does; what waits in any other keeps its order.
  INSERT INTO notifications_lane AS l (subscription_id, key, recipient, channel_id, tail, next_sequence, due_at)
  SELECT subscription_id, key, recipient, channel_id, of_lane, 1, now()
  FROM d WHERE key IS NOT NULL AND nth = 1 AND (SELECT count(*) >= 0 FROM locked)
  ORDER BY subscription_id, key, recipient
  ON CONFLICT (subscription_id, key, recipient) DO UPDATE SET tail = l.tail + EXCLUDED.tail,
    due_at = CASE WHEN l.next_sequence > l.tail THEN now() ELSE l.due_at END,
    channel_id = CASE WHEN l.next_sequence > l.tail THEN EXCLUDED.channel_id ELSE l.channel_id END
  RETURNING l.id, l.subscription_id, l.key, l.recipient, l.tail, l.channel_id
), numbered AS MATERIALIZED (
  SELECT d.uid, d.event_id, d.subscription_id, d.recipient, d.undeliverable, d.position, lanes.id AS lane_id,
    lanes.tail - d.of_lane + d.nth AS sequence,
    -- A mail keeps to its own profile: the lane comes to it in its turn (lanes.move).
    CASE WHEN d.recipient = '' THEN COALESCE(lanes.channel_id, d.channel_id) ELSE d.channel_id END AS channel_id
  -- All of it, though none of the lanes is without: the only join that no plan does row by row.
  FROM d FULL JOIN lanes USING (subscription_id, key, recipient)
),
{_insert("numbered")}
{_wake("SELECT channel_id FROM written UNION SELECT channel_id FROM lanes")}
""")  # noqa: S608 - constants of ours


def write(drafts: list[Draft], *, locks_more: bool) -> None:
    """Write deliveries in the order given, with the next numbers of their lanes; wake their channels.

    `locks_more`: this transaction goes on to lock what everybody locks after channels.
    """
    lanes = [draft.lane for draft in drafts]
    # By lane, else spread by event.
    shards = {lane: channels.shard_of(repr(lane)) for lane in set(lanes) if lane}
    channel_ids = _find(
        {draft.destination for draft in drafts if not draft.undeliverable},
        sorted(shards) if locks_more else (),
        locks=locks_more,
    )
    placed = [
        None
        if draft.undeliverable
        else channel_ids[draft.destination][shards[lane] if lane else channels.shard_of(str(draft.event_id))]
        for draft, lane in zip(drafts, lanes, strict=True)
    ]
    prepared.run(
        _IN_ORDER if shards else _IN_ANY_ORDER,
        [
            array(uuid7s(len(drafts))),
            array(draft.event_id for draft in drafts),
            array(draft.subscription_id for draft in drafts),
            array(draft.recipient for draft in drafts),
            array(draft.undeliverable for draft in drafts),
            array(placed),
            array(lane[1] if lane else None for lane in lanes),
        ],
    )


def _find(
    wanted: Set[Destination], lanes: Sequence[Lane], *, locks: bool
) -> dict[Destination, dict[int, int]]:
    """Find the channels of these destinations and lanes; return the ids by destination and shard.

    Missing ones are made. Everybody who locks channels does it in the order of their ids.
    """
    statement = _LOCK if locks else _FIND
    endpoint_ids = [endpoint for endpoint, _ in wanted if endpoint]
    profile_ids = [profile for _, profile in wanted if profile]
    parts = [
        array(endpoint_ids),
        array(profile_ids),
        *(array(lane[part] for lane in lanes) for part in range(3)),
    ]

    def find() -> dict[Destination, dict[int, int]]:
        found: dict[Destination, dict[int, int]] = {}
        for endpoint_id, profile_id, shard, channel_id in prepared.run(statement, parts):
            found.setdefault((endpoint_id, profile_id), {})[shard] = channel_id
        return found

    channel_ids = find()
    if any(len(channel_ids.get(destination, ())) < channels.SHARDS for destination in wanted):
        channels.ensure(endpoint_ids=endpoint_ids, profile_ids=profile_ids)
        channel_ids = find()
    return channel_ids
