"""What the database says is to be delivered of the demo's events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Q

from events import ids
from events.models import InboxEntry, QuarantinedEvent
from notifications.models import Delivery

from .configuration import Configuration
from .posting import Posted


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One delivery; `error` is what went wrong with it last."""

    id: str  # dlv_…
    event_id: str  # evt_…
    is_mail: bool
    recipient: str
    subscription: str
    lane: int | None
    sequence: int | None
    status: str
    error: str

    @property
    def is_delivered(self) -> bool:
        """Whether the database knows that it arrived."""
        return self.status == Delivery.Status.DELIVERED


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the database knows of the demo's events; those waiting or quarantined have no deliveries."""

    deliveries: tuple[Expected, ...] = ()
    waiting: frozenset[str] = frozenset()
    quarantined: Mapping[str, str] = field(default_factory=dict)  # why, by event

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing will change any more by itself."""
        return not self.waiting and not any(
            delivery.status in Delivery.WAITING for delivery in self.deliveries
        )


def known(events: Iterable[Posted], configuration: Configuration) -> Known:
    """Return the demo's deliveries of these events, and what keeps others from becoming deliveries.

    What an administrator's own subscriptions make of the events is none of the demo's business.
    """
    uids = [uid for posted in events if (uid := ids.parse("evt", posted.event_id))]
    # Before the deliveries: an event that is gone from the inbox here has all of them below.
    waiting = InboxEntry.objects.filter(event__uid__in=uids).values_list("event__uid", flat=True)
    not_fanned_out = frozenset(ids.public("evt", uid) for uid in waiting)
    quarantined = QuarantinedEvent.objects.filter(event__uid__in=uids).values_list("event__uid", "error")
    mails = Q(subscription__in=configuration.mail_subscriptions.values())
    webhooks = Q(subscription__endpoint__in=configuration.endpoints)
    rows = Delivery.objects.filter(mails | webhooks, event__uid__in=uids).select_related(
        "event", "subscription"
    )
    deliveries = tuple(
        Expected(
            id=row.public_id,
            event_id=row.event.public_id,
            is_mail=row.subscription.endpoint_id is None,
            recipient=row.recipient,
            subscription=row.subscription.name,
            lane=row.lane_id,
            sequence=row.sequence,
            status=row.status,
            error=row.last_error,
        )
        for row in rows.order_by("id")
    )
    why = {ids.public("evt", uid): error.strip().rpartition("\n")[2] for uid, error in quarantined}
    return Known(deliveries=deliveries, waiting=not_fanned_out, quarantined=why)
