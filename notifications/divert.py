"""Sending what waits by another SMTP profile, where the choice has changed since it was made.

1. A mail that is rendered stays with its profile: its From address is in it. One that was only ever turned
   away by a profile at fault was never handed in, so it is rendered anew by whoever stands in.
2. What is under way stays where it is until it is settled; whoever gives its channel back comes here again.
3. A lane follows its head, so its order stays: what waits behind a mail that has to stay waits with it.
"""

from collections.abc import Collection

from django.db import connection, transaction

from events.prepared import array

from .nudge import nudge
from .selection import Profiles

BATCH = 2_000  # deliveries looked at in one transaction

_WAITING = """
SELECT d.id, c.profile_id, c.shard, s.profile_id, e.type_id, b.delivery_id IS NOT NULL,
  (c.leased_until IS NOT NULL AND d.id = ANY(c.in_flight)) OR EXISTS (
    SELECT FROM notifications_attempt a WHERE b.delivery_id IS NOT NULL AND a.delivery_id = d.id
      AND a.verdict <> 'blocked')
FROM notifications_delivery d
JOIN notifications_channel c ON c.id = d.channel_id
JOIN notifications_subscription s ON s.id = d.subscription_id
JOIN events_event e ON e.id = d.event_id
LEFT JOIN notifications_renderedbody b ON b.delivery_id = d.id AND b.delivery_created_at = d.created_at
WHERE c.profile_id = ANY(%s::bigint[]) AND d.status IN ('pending', 'retrying', 'held') AND d.id > %s
ORDER BY d.id LIMIT %s
"""
# A worker that holds a lane's channel moves it as it comes to it; these are those that nobody would come to.
_FOLLOW = """
UPDATE notifications_lane l SET channel_id = h.channel_id,
  due_at = CASE WHEN l.blocked_by_id IS NULL THEN now() END
FROM (SELECT DISTINCT lane_id FROM notifications_delivery WHERE id = ANY(%s::bigint[])) x,
  LATERAL (
    SELECT d.channel_id FROM notifications_delivery d JOIN notifications_lane o ON o.id = d.lane_id
    WHERE d.lane_id = x.lane_id AND d.sequence >= o.next_sequence
      AND (d.due_at IS NOT NULL OR d.status = 'held')
    ORDER BY d.sequence LIMIT 1) h
WHERE l.id = x.lane_id AND l.channel_id <> h.channel_id AND NOT EXISTS (
  SELECT FROM notifications_channel c JOIN notifications_delivery f ON f.id = ANY(c.in_flight)
  WHERE c.id = l.channel_id AND c.leased_until IS NOT NULL AND f.lane_id = l.id)
"""


def divert(profile_ids: Collection[int] | None = None) -> int:
    """Move what waits for these profiles (None: for any) to where it would go now; return how many mails.

    Each batch is a transaction of its own.
    """
    total, after = 0, 0
    while True:
        with transaction.atomic():
            profiles = Profiles.read()
            wanted = _concerned(profile_ids, profiles)
            moved, after = _batch(wanted, profiles, after) if wanted else (0, 0)
        total += moved
        if moved:
            nudge()
        if not after:
            return total


def _concerned(profile_ids: Collection[int] | None, profiles: Profiles) -> list[int]:
    """Return the profiles whose waiting mail is looked at: those asked about that cannot send it now, or all."""
    if profile_ids is not None:
        return sorted(set(profile_ids) & set(profiles.stands_in))
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT profile_id FROM notifications_channel WHERE profile_id IS NOT NULL")
        return sorted(row[0] for row in cursor.fetchall())


def _batch(profile_ids: list[int], profiles: Profiles, after: int) -> tuple[int, int]:
    """Move one batch; return how many mails, and the id to go on after: 0 at the end."""
    with connection.cursor() as cursor:
        # Before anything is read: nobody takes or settles any of it meanwhile.
        cursor.execute(
            """SELECT id, profile_id, shard FROM notifications_channel
               WHERE profile_id IS NOT NULL ORDER BY id FOR UPDATE"""
        )
        places = {(profile, shard): pk for pk, profile, shard in cursor.fetchall()}
        cursor.execute(_WAITING, [array(profile_ids), after, BATCH])
        rows = cursor.fetchall()
    going: dict[int, int] = {}
    anew = []
    for pk, profile, shard, own, type_id, is_rendered, has_to_stay in rows:
        goal = places.get((profiles.choose(own, type_id), shard))
        if goal is None or goal == places[profile, shard] or has_to_stay:
            continue
        if is_rendered and profile not in profiles.stands_in:
            continue
        going[pk] = goal
        anew += [pk] if is_rendered else []
    if going:
        _move(going, anew)
    return len(going), rows[-1][0] if len(rows) == BATCH else 0


def _move(going: dict[int, int], anew: list[int]) -> None:
    """Move these deliveries to these channels, which are locked; those rendered lose their text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM notifications_renderedbody WHERE delivery_id = ANY(%s::bigint[])", [array(anew)]
        )
        cursor.execute(
            """UPDATE notifications_delivery d SET channel_id = x.channel_id
               FROM unnest(%s::bigint[], %s::bigint[]) x(id, channel_id) WHERE d.id = x.id""",
            [array(going), array(going.values())],
        )
        cursor.execute(_FOLLOW, [array(going)])
        # All of them: a worker that looked before this takes nothing of what it saw.
        cursor.execute(
            """UPDATE notifications_channel SET wake = wake + 1,
                 due_at = CASE WHEN leased_until IS NULL
                               THEN LEAST(COALESCE(due_at, 'infinity'), GREATEST(now(), not_before)) ELSE due_at END
               WHERE profile_id IS NOT NULL"""
        )
