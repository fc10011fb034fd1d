"""Cancelling what has not been sent of an event; what was sent stays on record."""

from dataclasses import dataclass
from functools import partial

from django.db import transaction

from events.grants import Caller, affected_queues, check_change
from events.models import Event, InboxEntry, QuarantinedEvent, WithheldEvent

from . import operate
from .amend import hold_fan_out
from .audit import record
from .grip import Grip
from .models import Delivery
from .nudge import nudge

Status = Delivery.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What became of the deliveries of an event that was cancelled; the counts add up to all of them."""

    state: str  # cancelled: nothing of it was or will be delivered; else partly_sent
    cancelled: int  # now
    tried: int  # of those: failed before, or taken by a worker that died, and may have arrived nevertheless
    in_flight: int  # their result is on its way
    delivered: int
    ended_before: int  # dead, skipped, suppressed or cancelled already


def take_back(event_id: int, caller: Caller, reason: str = "") -> TakenBack:
    """Cancel what waits of this event; raise MissingGrant where the caller may not."""
    return operate.deadlocks_again(partial(_take_back, event_id, caller, reason))


@transaction.atomic
def _take_back(event_id: int, caller: Caller, reason: str) -> TakenBack:
    event = Event.objects.select_for_update(no_key=True).get(pk=event_id)
    hold_fan_out()
    own = Delivery.objects.filter(event=event)
    queues = affected_queues(event) | set(own.values_list("subscription__queue", flat=True))
    check_change(event, "delete", caller, queues)
    for kind in (InboxEntry, QuarantinedEvent):
        kind.objects.filter(event=event).delete()
    grip = Grip.of(own.values_list("pk", flat=True))
    rows = list(own.select_for_update(of=["self"]).order_by("lane_id", "sequence", "pk"))
    in_flight = [row for row in rows if row.pk in grip.in_flight]
    left = [row for row in rows if row.status in Delivery.UNFINISHED and row.pk not in grip.in_flight]
    for row in left:
        grip.free_lane(row, passes=True)
    operate.change("cancel", Delivery.objects.filter(pk__in=[row.pk for row in left]))
    grip.write()
    delivered = sum(row.status == Status.DELIVERED for row in rows)
    if not (in_flight or delivered):
        WithheldEvent.objects.update_or_create(event=event, defaults={"cause": WithheldEvent.Cause.CANCELLED})
    counts = TakenBack(
        state="partly_sent" if in_flight or delivered else "cancelled",
        cancelled=len(left),
        tried=sum(row.attempt_count > 0 or row.pk in grip.may_be_sent for row in left),
        in_flight=len(in_flight),
        delivered=delivered,
        ended_before=len(rows) - len(left) - len(in_flight) - delivered,
    )
    record(caller, "event.cancel", [event.public_id], reason)
    transaction.on_commit(partial(nudge), robust=True)
    return counts
