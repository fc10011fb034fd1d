"""Which digest a delivery goes out in, and whether it can still be taken out of it."""

from collections.abc import Collection

from django.db import connection

from events import ids
from events.models import Event
from events.refusals import StateConflict

from .collect import CODE, KEY
from .models import Collected


def bound(delivery_ids: Collection[int]) -> dict[int, str]:
    """Return the digest's public id of those deliveries that a digest carries and cannot give back any more.

    The digests that still collect are locked until the transaction ends, so that none of them closes meanwhile.
    """
    if not delivery_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT FROM notifications_digest WHERE id IN (
                 SELECT digest_id FROM notifications_collected WHERE delivery_id = ANY(%s)) ORDER BY id FOR UPDATE""",
            [list(delivery_ids)],
        )
        # A statement of its own: it sees what was committed while the first one waited.
        cursor.execute(
            """SELECT c.delivery_id, d.uid FROM notifications_collected c
               JOIN notifications_digest g ON g.id = c.digest_id
               JOIN notifications_delivery d ON d.id = g.delivery_id
               WHERE c.delivery_id = ANY(%s) AND g.finished_at IS NULL""",
            [list(delivery_ids)],
        )
        return {pk: ids.public("dlv", uid) for pk, uid in cursor.fetchall()}


def take_out(delivery_ids: Collection[int]) -> None:
    """Take these deliveries, which are locked, out of the digests that still collect."""
    Collected.objects.filter(delivery__in=delivery_ids, digest__delivery=None).delete()


def refuse_own(event: Event) -> None:
    """Raise StateConflict if this is the event of a digest, which is the system's own."""
    if event.ordering_key == KEY and event.type.code == CODE:
        raise StateConflict(
            f"{event.public_id} is the event of a digest: operate its delivery, "
            "or, until that exists, the deliveries that the digest collects."
        )
