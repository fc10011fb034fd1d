"""Channels: the rows that workers lease, kept in step with endpoints and SMTP profiles."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from zlib import crc32

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from events import prepared
from events.prepared import array
from smtpprofiles.models import SmtpProfile

from .breaker import State
from .models import Channel, Circuit, Endpoint

# Two shards let two processes serve one busy endpoint; a lane always stays on one of them.
SHARDS = 2


def ensure(*, endpoint_ids: Collection[int] = (), profile_ids: Collection[int] = ()) -> None:
    """Create the circuits and channels that are missing for these endpoints and profiles."""
    wanted = [Circuit(endpoint_id=pk) for pk in endpoint_ids] + [Circuit(profile_id=pk) for pk in profile_ids]
    Circuit.objects.bulk_create(wanted, ignore_conflicts=True)
    circuits = Circuit.objects.filter(Q(endpoint__in=endpoint_ids) | Q(profile__in=profile_ids))
    rows = [
        Channel(endpoint_id=circuit.endpoint_id, profile_id=circuit.profile_id, circuit=circuit, shard=shard)
        for circuit in circuits
        for shard in range(SHARDS)
    ]
    Channel.objects.bulk_create(rows, ignore_conflicts=True)


def shard_of(key: str) -> int:
    """Return the shard for a key: the same in every process and for ever."""
    return crc32(key.encode()) % SHARDS


def share(limit: int, shard: int) -> int:
    """Return how many of a destination's sends at once are a shard's; one alone goes where there is work."""
    return 1 if limit == 1 else (limit + SHARDS - 1 - shard) // SHARDS


# Makes channels due for new work, and tells whoever holds one of them. A leased channel's due time is its lease's
# end: its holder sees the higher wake instead. The one parameter is the array of their ids.
WAKE = """
UPDATE notifications_channel SET wake = wake + 1,
  due_at = CASE WHEN leased_until IS NULL
                THEN LEAST(COALESCE(due_at, 'infinity'), GREATEST(now(), not_before)) ELSE due_at END
WHERE id = ANY(%s::bigint[])
"""


def wake(channel_ids: Iterable[int]) -> None:
    """Make these channels due for new work, and tell whoever holds one of them; lock several by id before."""
    prepared.run(WAKE, [array(channel_ids)])


def follow(destination: Endpoint | SmtpProfile) -> None:
    """Open or pause the channels of an endpoint or profile as it says; opened ones are due at once.

    A worker that holds one of them sees the pause when it next asks for work. One that is resumed begins
    anew; one that was edited while its circuit is open is probed at once, as it may have been mended.
    """
    column = "endpoint_id" if isinstance(destination, Endpoint) else "profile_id"
    paused = not destination.is_active or bool(destination.paused_reason)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT is_paused <> %s, circuit_id FROM notifications_channel
                WHERE {column} = %s ORDER BY id FOR UPDATE""",  # noqa: S608 - one of two column names above
            [paused, destination.pk],
        )
        rows = cursor.fetchall()
        changes, circuit = any(row[0] for row in rows), rows[0][1]
        if not changes and paused:
            return
        cursor.execute(
            """UPDATE notifications_channel SET is_paused = %(paused)s, wake = wake + 1,
                 not_before = NULL, rest_cause = '',
                 due_at = CASE WHEN leased_until IS NULL THEN now() ELSE due_at END
               WHERE circuit_id = %(circuit)s AND (%(changes)s OR rest_cause IN ('open', 'hanging', 'rate'))""",
            {"paused": paused, "circuit": circuit, "changes": changes},
        )
        if changes and not paused:
            Circuit.objects.filter(pk=circuit).update(**asdict(State()) | {"closed_at": Now()})
        elif not paused:
            Circuit.objects.filter(pk=circuit, opened_at__isnull=False).update(probe_at=Now())
