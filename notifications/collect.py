"""Storm control at fan-out: the first few deliveries of a period go out one by one, the others wait for a digest.

1. Periods are counted for each subscription and recipient, and begin with the first delivery.
2. Once something is collected, all that comes later in the period is: nothing overtakes it.
3. Only the holder of the sequencer's lock counts. What is collected is held in its place in its lane, and the
   digest's own event waits in the inbox for the end of the period, so that the sequencer comes back to it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping

from events import prepared
from events.ids import uuid7s
from events.models import EventType
from events.prepared import array

from .deliveries import Draft
from .match import Limit

CODE = "digest"  # of the events of digests: no event that is published can have it
KEY = "bellwether:digest"  # their ordering key, and so the key of the lanes of digests

Pair = tuple[int, str]  # subscription and recipient

_WINDOWS = """
SELECT g.id, g.subscription_id, g.recipient, g.passed, g.event_id IS NOT NULL, g.due_at > now()
FROM notifications_digest g
JOIN unnest(%s::bigint[], %s::text[]) x(subscription_id, recipient) USING (subscription_id, recipient)
WHERE g.delivery_id IS NULL ORDER BY g.id FOR UPDATE OF g
"""
_COUNT = """
INSERT INTO notifications_digest AS g (subscription_id, recipient, opened_at, due_at, passed, size)
SELECT subscription_id, recipient, now(), now() + make_interval(mins => minutes), passed, 0
FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::int[]) x(subscription_id, recipient, minutes, passed)
ON CONFLICT (subscription_id, recipient) WHERE delivery_id IS NULL DO UPDATE SET
  passed = EXCLUDED.passed,
  opened_at = CASE WHEN g.event_id IS NULL AND g.due_at <= now() THEN EXCLUDED.opened_at ELSE g.opened_at END,
  due_at = CASE WHEN g.event_id IS NULL AND g.due_at <= now() THEN EXCLUDED.due_at ELSE g.due_at END
RETURNING g.id, g.subscription_id, g.recipient, g.event_id IS NOT NULL
"""
_WAIT = """
WITH incoming AS (
  SELECT nextval('events_event_id_seq') AS event_id, x.uid, g.id, g.due_at, jsonb_build_object(
      'subscription', s.name, 'recipient', g.recipient, 'from', g.opened_at, 'until', g.due_at)::text AS data
  FROM unnest(%s::bigint[], %s::uuid[]) x(id, uid)
  JOIN notifications_digest g ON g.id = x.id JOIN notifications_subscription s ON s.id = g.subscription_id
), published AS (
  INSERT INTO events_event (id, uid, type_id, source, account, ordering_key, idempotency_key, data,
    occurred_at, deliver_at, created_at)
  SELECT event_id, uid, %s::bigint, 'schedule', '', %s::text, '', data, now(), due_at, now() FROM incoming
), waiting AS (
  INSERT INTO events_inboxentry (event_id, due_at) SELECT event_id, due_at FROM incoming
)
UPDATE notifications_digest g SET event_id = i.event_id FROM incoming i WHERE g.id = i.id
"""
# A lane that is at it already stands still at it; the others come to it.
_HOLD = """
WITH held AS (
  UPDATE notifications_delivery d SET status = 'held', hold_cause = 'collected', due_at = NULL
  FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[]) x(event_id, subscription_id, recipient, digest_id)
  WHERE d.event_id = x.event_id AND d.subscription_id = x.subscription_id AND d.recipient = x.recipient
  RETURNING d.id, x.digest_id, d.lane_id, d.sequence
), noted AS (
  INSERT INTO notifications_collected (delivery_id, digest_id) SELECT id, digest_id FROM held
)
UPDATE notifications_lane l SET blocked_by_id = h.id, due_at = NULL
FROM held h WHERE l.id = h.lane_id AND l.next_sequence = h.sequence
"""


def collect(drafts: Iterable[Draft], limits: Mapping[int, Limit]) -> None:
    """Hold what goes beyond the limits of its subscription; all of it is written, in this transaction."""
    concerned: defaultdict[Pair, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.subscription_id in limits and not draft.undeliverable and draft.lane_key != KEY:
            concerned[draft.subscription_id, draft.recipient].append(draft)
    if not concerned:
        return
    pairs = sorted(concerned)
    both = [array(pair[0] for pair in pairs), array(pair[1] for pair in pairs)]
    passed = dict.fromkeys(pairs, 0)
    collecting: set[Pair] = set()
    for _, subscription_id, recipient, so_far, collects, runs in prepared.run(_WINDOWS, both):
        if collects:
            collecting.add((subscription_id, recipient))
        passed[subscription_id, recipient] = so_far if collects or runs else 0
    beyond: dict[Pair, list[Draft]] = {}
    for pair in pairs:
        room = 0 if pair in collecting else max(0, limits[pair[0]].deliveries - passed[pair])
        passed[pair] += len(concerned[pair][:room])
        if rest := concerned[pair][room:]:
            beyond[pair] = rest
    rows = prepared.run(
        _COUNT,
        [
            *both,
            array(limits[pair[0]].minutes for pair in pairs),
            array(passed[pair] for pair in pairs),
        ],
    )
    digests = {(subscription_id, recipient): pk for pk, subscription_id, recipient, _ in rows}
    wait([pk for pk, subscription_id, recipient, waits in rows
          if not waits and (subscription_id, recipient) in beyond])  # fmt: skip
    _hold([(draft, digests[pair]) for pair, held in beyond.items() for draft in held])


def wait(digest_ids: list[int]) -> None:
    """Put the events of these digests into the inbox, for the end of their periods."""
    if digest_ids:
        uids = array(uuid7s(len(digest_ids)))
        prepared.run(_WAIT, [array(digest_ids), uids, str(_event_type()), KEY])


def _hold(held: list[tuple[Draft, int]]) -> None:
    if held:
        prepared.run(
            _HOLD,
            [
                array(draft.event_id for draft, _ in held),
                array(draft.subscription_id for draft, _ in held),
                array(draft.recipient for draft, _ in held),
                array(digest for _, digest in held),
            ],
        )


def _event_type() -> int:
    """Return the type of the events of digests, made when it is first needed; it cannot be published."""
    row, _ = EventType.objects.get_or_create(
        code=CODE,
        defaults={
            "label": "Digest",
            "description": "What went beyond the storm control of a subscription, all at once. "
            "Made by the system itself; it cannot be published.",
            "resource": "digest",
            "operation": "create",
            "category": "system",
            "sample": json.loads('{"digest": {"count": 4990}}'),
            "is_active": False,
        },
    )
    return row.pk
