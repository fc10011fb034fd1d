"""Writing the deliveries of a fanned-out batch: two or three statements, whatever its size."""

from collections import Counter
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


# A lane may still be on the channel of an earlier destination.
_FIND = """
SELECT endpoint_id, profile_id, shard, id FROM notifications_channel
WHERE endpoint_id = ANY(%s::bigint[]) OR profile_id = ANY(%s::bigint[]) OR id IN (
  SELECT l.channel_id FROM notifications_lane l
  JOIN unnest(%s::bigint[], %s::text[], %s::text[]) x(subscription_id, key, recipient)
    USING (subscription_id, key, recipient))
ORDER BY id
"""
_LOCK = f"{_FIND} FOR UPDATE"

# Channels are woken after the rest is written: their workers wait for whoever has them locked.
_WRITE = f"""
WITH written AS (
INSERT INTO notifications_delivery
  (uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence, status, hold_cause,
   due_at, attempt_count, crash_count, last_error, settled_at)
SELECT uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence,
       CASE WHEN undeliverable = '' THEN 'pending' ELSE 'suppressed' END, '',
       CASE WHEN undeliverable = '' THEN now() END, 0, 0, undeliverable,
       CASE WHEN undeliverable <> '' THEN now() END
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
  AS d(uid, event_id, subscription_id, recipient, undeliverable, channel_id, lane_id, sequence)
RETURNING id
), locked AS (
  SELECT id FROM notifications_channel WHERE id = ANY(%s::bigint[]) AND (SELECT count(*) >= 0 FROM written)
  ORDER BY id FOR UPDATE
)
{channels.WAKE.replace("%s::bigint[]", "ARRAY(SELECT id FROM locked)")}
"""  # noqa: S608 - a constant of ours


def write(drafts: list[Draft], *, locks_more: bool) -> None:
    """Write deliveries in the order given, with the next numbers of their lanes; wake their channels.

    `locks_more`: this transaction goes on to lock what everybody locks after channels.
    """
    lanes = [draft.lane for draft in drafts]
    shards = {lane: channels.shard_of(repr(lane)) for lane in set(lanes) if lane}
    known = sorted(shards)
    # Before anything is locked, as others wait for that.
    known_columns = [
        array(uuid7s(len(drafts))),
        array(draft.event_id for draft in drafts),
        array(draft.subscription_id for draft in drafts),
        array(draft.recipient for draft in drafts),
        array(draft.undeliverable for draft in drafts),
    ]
    destinations = {draft.destination for draft in drafts if not draft.undeliverable}
    channel_ids = _find(destinations, known, locks=locks_more or bool(known))
    placed: list[int | None] = []
    for draft, lane in zip(drafts, lanes, strict=True):
        if draft.undeliverable:
            placed.append(None)
            continue
        # By lane, else spread by event.
        shard = shards[lane] if lane else channels.shard_of(str(draft.event_id))
        placed.append(channel_ids[draft.destination][shard])
    numbers: list[int | None] = [None] * len(drafts)
    lane_ids = list(numbers)
    woken = set(placed)
    if known:
        heads = _number(lanes, placed)
        for position, lane in enumerate(lanes):
            if lane:
                head = heads[lane]
                head.last += 1
                lane_ids[position], numbers[position] = head.id, head.last
                # A mail keeps to its own profile: the lane comes to it in its turn (lanes.move).
                if drafts[position].endpoint_id:
                    placed[position] = head.channel_id
                woken.add(head.channel_id)
    prepared.run(
        _WRITE,
        [*known_columns, array(placed), array(lane_ids), array(numbers), array(woken - {None})],
    )


def _find(
    wanted: Set[Destination], lanes: Sequence[Lane], *, locks: bool
) -> dict[Destination, dict[int, int]]:
    """Find the channels of these destinations and lanes; return the ids by destination and shard.

    Missing ones are made. Lanes are locked after their channels, and those in the order of their ids, by every writer.
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


@dataclass(slots=True)
class _Head:
    """A lane whose tail was moved: the number given last, and its channel."""

    id: int
    last: int
    channel_id: int


def _number(lanes: list[Lane | None], placed: list[int | None]) -> dict[Lane, _Head]:
    """Move the tail of every lane in the batch; return each with the number before its first new one.

    A lane moves to another channel only while it is idle: what waits in it keeps its order.
    """
    counts = Counter(lane for lane in lanes if lane)
    # An idle lane goes to where its first new delivery does.
    lane_channels = dict(zip(reversed(lanes), reversed(placed), strict=True))
    ordered = sorted(counts)
    rows = prepared.run(
        """INSERT INTO notifications_lane AS l
             (subscription_id, key, recipient, channel_id, tail, next_sequence, due_at)
           SELECT subscription_id, key, recipient, channel_id, n, 1, now()
           FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
             AS x(subscription_id, key, recipient, channel_id, n)
           ON CONFLICT (subscription_id, key, recipient) DO UPDATE SET tail = l.tail + EXCLUDED.tail,
             due_at = CASE WHEN l.next_sequence > l.tail THEN now() ELSE l.due_at END,
             channel_id = CASE WHEN l.next_sequence > l.tail THEN EXCLUDED.channel_id ELSE l.channel_id END
           RETURNING l.subscription_id, l.key, l.recipient, l.id, l.tail, l.channel_id""",
        [
            *(array(lane[part] for lane in ordered) for part in range(3)),
            array(lane_channels[lane] for lane in ordered),
            array(counts[lane] for lane in ordered),
        ],
    )
    return {
        (subscription_id, key, recipient): _Head(
            lane_id, tail - counts[subscription_id, key, recipient], channel_id
        )
        for subscription_id, key, recipient, lane_id, tail, channel_id in rows
    }
