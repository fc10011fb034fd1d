"""The account of one day: per subscription, what was made, sent, accepted, and what was not."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet

from .made_when import made_between
from .models import Delivery, Subscription

Status = Delivery.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One subscription's deliveries that were made on the day, by what has become of them."""

    subscription: Subscription
    made: int
    sent: int  # tried at least once
    accepted: int
    waiting: int
    held: int
    dead: int
    skipped: int
    cancelled: int
    suppressed: int
    digested: int  # gone out in a digest
    keys: int  # ordering keys, each with a lane of its own
    first_sequence: int | None
    last_sequence: int | None


def of_day(
    day: date, *, subscriber_id: int | None = None, subscription_id: int | None = None, ordering_key: str = ""
) -> QuerySet[Delivery]:
    """Return the deliveries that were made on a day, in UTC."""
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    wanted = made_between(begins, begins + timedelta(days=1))
    named = {
        "subscription__subscriber_id": subscriber_id,
        "subscription_id": subscription_id,
        "event__ordering_key": ordering_key or None,
    }
    wanted &= Q(**{name: value for name, value in named.items() if value is not None})
    return Delivery.objects.filter(wanted)


def lines(deliveries: QuerySet[Delivery]) -> list[Line]:
    """Return one line per subscription, in the order of their numbers."""

    def count(*statuses: str) -> Count:
        return Count("pk", filter=Q(status__in=statuses))

    rows: Any = (
        deliveries.values("subscription_id")
        .annotate(
            made=Count("pk"),
            sent=Count("pk", filter=Q(attempt_count__gt=0) | Q(status=Status.DELIVERED)),
            accepted=count(Status.DELIVERED),
            waiting=count(*Delivery.WAITING),
            held=count(Status.HELD),
            dead=count(Status.DEAD),
            skipped=count(Status.SKIPPED),
            cancelled=count(Status.CANCELLED),
            suppressed=count(Status.SUPPRESSED),
            digested=count(Status.DIGESTED),
            keys=Count("lane__key", distinct=True, filter=Q(lane__home=None)),
            first_sequence=Min("sequence"),
            last_sequence=Max("sequence"),
        )
        .order_by("subscription_id")
    )
    found = {row.pop("subscription_id"): row for row in rows}
    subscriptions = Subscription.objects.select_related("queue", "subscriber").in_bulk(list(found))
    return [Line(subscription=subscriptions[pk], **row) for pk, row in found.items()]
