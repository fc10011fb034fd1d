"""Reading a queue: a subscriber's own callouts in their order, from a cursor that it moves itself.

1. What is read are the deliveries of the subscriber's webhook subscriptions on the queue, whether or not their
   endpoint took them. What was cancelled is left out, and digests are: what they carry is read one by one.
2. Fan-out writes deliveries one pass after the other, after the commit of their events, and so does whatever else
   writes them: an id that is lower than one that is visible never appears later. A cursor skips nothing.
3. What its publisher holds is not shown, and nothing behind it is, in any of the subscriptions: a cursor that
   had passed it would skip it.
4. Acknowledging moves the cursor, forward, and does nothing else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from events.models import Queue, Subscriber

from .collect import CODE
from .models import Delivery, PullCursor, Subscription
from .operate import deadlocks_again

MOST = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_READ = """
SELECT d.id FROM unnest(%s::bigint[]) s(id) CROSS JOIN LATERAL (
  SELECT d.id FROM notifications_delivery d JOIN events_event e ON e.id = d.event_id
  WHERE d.subscription_id = s.id AND d.id > %s AND d.status NOT IN ('cancelled', 'suppressed')
    AND e.type_id IS DISTINCT FROM (SELECT id FROM events_eventtype WHERE code = %s)
  ORDER BY d.id LIMIT %s) d
ORDER BY d.id LIMIT %s
"""
# Against who changes an event, but not against the workers that settle them.
_LOCK = "SELECT FROM notifications_delivery WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"
_HIDDEN = (Delivery.Status.CANCELLED, Delivery.Status.SUPPRESSED)


class Outdated(Exception):  # noqa: N818 - named for the fact
    """The cursor is older than what is kept: something after it may be gone. Says where what is kept begins."""

    def __init__(self, begins_at: datetime) -> None:
        super().__init__(begins_at)
        self.begins_at = begins_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in a queue: the delivery read last, and when it was made."""

    position: int
    at: datetime | None

    @property
    def text(self) -> str:
        """As it is given and taken; empty for the beginning."""
        if self.at is None:
            return ""
        return f"{self.position}-{(self.at - _EPOCH) // timedelta(microseconds=1)}"


START = Cursor(position=0, at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages in their order, and whether there are more now."""

    deliveries: list[Delivery]
    has_more: bool


def parse(text: str) -> Cursor:
    """Return the cursor that a text is. Raises ValueError."""
    position, _, at = text.partition("-")
    if not (position.isascii() and position.isdigit() and at.isascii() and at.isdigit()):
        raise ValueError(text)
    if len(position) > 18 or len(at) > 17:
        raise ValueError(text)
    return Cursor(position=int(position), at=_EPOCH + timedelta(microseconds=int(at)))


def cursor_of(delivery: Delivery) -> Cursor:
    """Return the place right behind this delivery."""
    return Cursor(position=delivery.pk, at=delivery.created_at)


def acknowledged(subscriber: Subscriber, queue: Queue) -> Cursor:
    """Return how far the subscriber has acknowledged the queue."""
    row = PullCursor.objects.filter(subscriber=subscriber, queue=queue).first()
    return Cursor(position=row.position, at=row.position_at) if row else START


def read(subscriber: Subscriber, queue: Queue, after: Cursor, *, limit: int) -> Page:
    """Return what comes after a cursor. Raises Outdated where some of that is kept no longer."""
    return deadlocks_again(partial(_read, subscriber, queue, after, limit))


@transaction.atomic
def _read(subscriber: Subscriber, queue: Queue, after: Cursor, limit: int) -> Page:
    _refuse_outdated(after)
    own = Subscription.objects.filter(subscriber=subscriber, queue=queue, endpoint__isnull=False)
    subscriptions = list(own.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_READ, [subscriptions, after.position, CODE, limit + 1, limit + 1])
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(_LOCK, [ids])
    # As they are under lock: whoever was changing one has committed, and whoever will sees that it was handed out.
    found = Delivery.objects.filter(pk__in=ids).exclude(status__in=_HIDDEN)
    rows = list(found.select_related("event__type", "subscription", "lane").order_by("pk"))
    readable = list(takewhile(lambda row: row.hold_cause != Delivery.HoldCause.PUBLISHER, rows))
    page = [row for row in readable if row.pk in ids[:limit]]
    if page:
        PullCursor.objects.get_or_create(subscriber=subscriber, queue=queue)
        further = PullCursor.objects.filter(subscriber=subscriber, queue=queue, handed_out__lt=page[-1].pk)
        further.update(handed_out=page[-1].pk)
    return Page(deliveries=page, has_more=len(ids) > limit and len(readable) == len(rows))


def acknowledge(subscriber: Subscriber, queue: Queue, to: Cursor) -> Cursor:
    """Move the subscriber's cursor there, unless it is further already; return where it is."""
    PullCursor.objects.get_or_create(subscriber=subscriber, queue=queue)
    behind = PullCursor.objects.filter(subscriber=subscriber, queue=queue, position__lt=to.position)
    behind.update(
        position=to.position,
        position_at=to.at,
        handed_out=Greatest(F("handed_out"), to.position),
        updated_at=Now(),
    )
    return acknowledged(subscriber, queue)


def _refuse_outdated(after: Cursor) -> None:
    if after.at is None or Delivery.objects.filter(pk=after.position).exists():
        return
    oldest = Delivery.objects.order_by("pk").values_list("pk", "created_at").first()
    if oldest and after.position < oldest[0]:
        raise Outdated(oldest[1])
