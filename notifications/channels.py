"""Channels: the rows that workers lease, kept in step with endpoints and SMTP profiles."""

from collections.abc import Iterable
from zlib import crc32

from django.db import connection

from smtpprofiles.models import SmtpProfile

from .models import Channel, Endpoint

# Two shards let two processes serve one busy endpoint; a lane always stays on one of them.
SHARDS = 2


def ensure(*, endpoint_ids: Iterable[int] = (), profile_ids: Iterable[int] = ()) -> None:
    """Create the channels that are missing for these endpoints and profiles."""
    rows = [Channel(endpoint_id=pk, shard=shard) for pk in endpoint_ids for shard in range(SHARDS)]
    rows += [Channel(profile_id=pk, shard=shard) for pk in profile_ids for shard in range(SHARDS)]
    Channel.objects.bulk_create(rows, ignore_conflicts=True)


def shard_of(key: str) -> int:
    """Return the shard for a key: the same in every process and for ever."""
    return crc32(key.encode()) % SHARDS


def follow(destination: Endpoint | SmtpProfile) -> None:
    """Open or pause the channels of an endpoint or profile as it says; opened ones are due at once.

    A worker that holds one of them sees the pause when it next asks for work.
    """
    column = "endpoint_id" if isinstance(destination, Endpoint) else "profile_id"
    paused = not destination.is_active or bool(destination.paused_reason)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE notifications_channel SET is_paused = %s, wake = wake + 1, not_before = NULL,
                       due_at = CASE WHEN leased_until IS NULL THEN now() ELSE due_at END
                WHERE {column} = %s AND is_paused <> %s""",  # noqa: S608 - one of two column names above
            [paused, destination.pk, paused],
        )
