"""Writing the deliveries of a fanned-out batch: four statements, whatever its size."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.backends.utils import CursorWrapper

from events.ids import uuid7

from . import channels


@dataclass(frozen=True, slots=True, kw_only=True)
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
    def destination(self) -> tuple[int | None, int | None]:
        """What its channel belongs to: endpoint or SMTP profile."""
        return self.endpoint_id, self.profile_id

    @property
    def lane(self) -> tuple[int, str, str] | None:
        """What its lane is known by; one that can go nowhere takes no number."""
        if self.lane_key is None or self.undeliverable:
            return None
        return self.subscription_id, self.lane_key, self.recipient

    @property
    def shard(self) -> int:
        """Its shard: by lane, else spread by event."""
        return channels.shard_of(repr(self.lane) if self.lane else str(self.event_id))


def write(drafts: list[Draft]) -> None:
    """Write deliveries in the order given, with the next numbers of their lanes; wake their channels."""
    deliverable = [draft for draft in drafts if not draft.undeliverable]
    channel_ids = _channels({draft.destination for draft in deliverable})
    placed = {id(draft): channel_ids[draft.destination][draft.shard] for draft in deliverable}
    woken = sorted(set(placed.values()))
    with connection.cursor() as cursor:
        # Channels before lanes, in the order of their ids, as every other writer locks them.
        # A lane may still be on the channel of an earlier destination.
        known = sorted({draft.lane for draft in deliverable if draft.lane})
        cursor.execute(
            """SELECT id FROM notifications_channel
               WHERE id = ANY(%s) OR id IN (
                 SELECT l.channel_id FROM notifications_lane l
                 JOIN unnest(%s::bigint[], %s::text[], %s::text[]) x(subscription_id, key, recipient)
                   USING (subscription_id, key, recipient))
               ORDER BY id FOR UPDATE""",
            [woken, [lane[0] for lane in known], [lane[1] for lane in known], [lane[2] for lane in known]],
        )
        lanes = _number(cursor, deliverable, placed)
        counted: Counter[tuple[int, str, str]] = Counter()
        rows = []
        for draft in drafts:
            lane_id, sequence = None, None
            if draft.lane:
                lane_id, before, placed[id(draft)] = lanes[draft.lane]
                counted[draft.lane] += 1
                sequence = before + counted[draft.lane]
            rows.append(
                (uuid7(), draft.event_id, draft.subscription_id, draft.recipient, placed.get(id(draft)),
                 lane_id, sequence, draft.undeliverable)
            )  # fmt: skip
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(8)]
        cursor.execute(
            """INSERT INTO notifications_delivery
                 (uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence, status, hold_cause,
                  due_at, attempt_count, crash_count, last_error, settled_at)
               SELECT uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence,
                      CASE WHEN undeliverable = '' THEN 'pending' ELSE 'suppressed' END, '',
                      CASE WHEN undeliverable = '' THEN now() END, 0, 0, undeliverable,
                      CASE WHEN undeliverable <> '' THEN now() END
               FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[],
                           %s::bigint[], %s::text[])
                 AS d(uid, event_id, subscription_id, recipient, channel_id, lane_id, sequence, undeliverable)""",
            columns,
        )
        # A leased channel's due time is its lease's end: its holder sees the higher wake instead.
        cursor.execute(
            """UPDATE notifications_channel SET wake = wake + 1,
                 due_at = CASE WHEN leased_until IS NULL
                               THEN LEAST(COALESCE(due_at, 'infinity'), GREATEST(now(), not_before)) ELSE due_at END
               WHERE id = ANY(%s)""",
            [sorted(set(placed.values()))],
        )


def _channels(
    destinations: Iterable[tuple[int | None, int | None]],
) -> dict[tuple[int | None, int | None], list[int]]:
    """Return the channel ids of each destination by shard, creating those that are missing."""
    wanted = set(destinations)
    endpoint_ids = [endpoint for endpoint, _ in wanted if endpoint]
    profile_ids = [profile for _, profile in wanted if profile]

    def read() -> dict[tuple[int | None, int | None], list[int]]:
        found: dict[tuple[int | None, int | None], list[int]] = {}
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT endpoint_id, profile_id, id FROM notifications_channel
                   WHERE endpoint_id = ANY(%s) OR profile_id = ANY(%s) ORDER BY shard""",
                [endpoint_ids, profile_ids],
            )
            for endpoint_id, profile_id, channel_id in cursor.fetchall():
                found.setdefault((endpoint_id, profile_id), []).append(channel_id)
        return found

    channel_ids = read()
    if any(len(channel_ids.get(destination, [])) < channels.SHARDS for destination in wanted):
        channels.ensure(endpoint_ids=endpoint_ids, profile_ids=profile_ids)
        channel_ids = read()
    return channel_ids


def _number(
    cursor: CursorWrapper, drafts: list[Draft], placed: dict[int, int]
) -> dict[tuple[int, str, str], tuple[int, int, int]]:
    """Move the tail of every lane in the batch; return its id, the number before its first new one, its channel.

    A lane moves to another channel only while it is idle: what waits in it keeps its order.
    """
    counts: Counter[tuple[int, str, str]] = Counter()
    lane_channels: dict[tuple[int, str, str], int] = {}
    for draft in drafts:
        if draft.lane:
            counts[draft.lane] += 1
            lane_channels[draft.lane] = placed[id(draft)]
    if not counts:
        return {}
    ordered = sorted(counts)
    cursor.execute(
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
            [lane[0] for lane in ordered],
            [lane[1] for lane in ordered],
            [lane[2] for lane in ordered],
            [lane_channels[lane] for lane in ordered],
            [counts[lane] for lane in ordered],
        ],
    )
    return {
        (subscription_id, key, recipient): (
            lane_id,
            tail - counts[subscription_id, key, recipient],
            channel_id,
        )
        for subscription_id, key, recipient, lane_id, tail, channel_id in cursor.fetchall()
    }
