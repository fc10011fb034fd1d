"""Reading a queue: a subscriber's own callouts in their order, from a cursor that it moves itself.

1. What is read are the deliveries of the subscriber's webhook subscriptions on the queue, whether or not their
   endpoint took them. What was cancelled is left out.
2. Fan-out writes deliveries one pass after the other, after the commit of their events, and so does whatever else
   writes them: an id that is lower than one that is visible never appears later. A cursor skips nothing.
3. Acknowledging moves the cursor, forward, and does nothing else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from events.models import Queue, Subscriber

from .models import Delivery, PullCursor, Subscription

MOST = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_READ = """
SELECT d.id FROM unnest(%s::bigint[]) s(id) CROSS JOIN LATERAL (
  SELECT d.id FROM notifications_delivery d
  WHERE d.subscription_id = s.id AND d.id > %s AND d.status NOT IN ('cancelled', 'suppressed')
  ORDER BY d.id LIMIT %s) d
ORDER BY d.id LIMIT %s
"""


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


@transaction.atomic
def read(subscriber: Subscriber, queue: Queue, after: Cursor, *, limit: int) -> Page:
    """Return what comes after a cursor. Raises Outdated where some of that is kept no longer."""
    _refuse_outdated(after)
    own = Subscription.objects.filter(subscriber=subscriber, queue=queue, endpoint__isnull=False)
    with connection.cursor() as cursor:
        cursor.execute(_READ, [list(own.values_list("pk", flat=True)), after.position, limit + 1, limit + 1])
        ids = [row[0] for row in cursor.fetchall()]
    page = ids[:limit]
    if page:
        PullCursor.objects.get_or_create(subscriber=subscriber, queue=queue)
        further = PullCursor.objects.filter(subscriber=subscriber, queue=queue, handed_out__lt=page[-1])
        further.update(handed_out=page[-1])
    rows = Delivery.objects.filter(pk__in=page).select_related("event__type", "subscription", "lane")
    return Page(deliveries=list(rows.order_by("pk")), has_more=len(ids) > limit)


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
