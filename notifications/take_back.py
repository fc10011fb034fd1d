"""Cancelling what has not been sent of an event; what was sent stays on record."""

from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models.functions import Now

from events.grants import Caller, affected_queues, check_change
from events.models import Event, InboxEntry, QuarantinedEvent, WithheldEvent

from . import membership, operate
from .amend import hold_fan_out
from .audit import record
from .grip import Grip
from .models import Delivery
from .nudge import nudge

Status = Delivery.Status
Cause = WithheldEvent.Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What became of the deliveries of an event that was cancelled; the counts add up to all of them."""

    state: str  # cancelled: nothing of it was or will be delivered; else partly_sent
    cancelled: int  # now
    tried: int  # of those: failed before, or taken by a worker that died, and may have arrived nevertheless
    in_flight: int  # their result is on its way, or a digest that goes out carries them
    delivered: int  # alone or in a digest
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
    membership.refuse_own(event)
    for kind in (InboxEntry, QuarantinedEvent):
        kind.objects.filter(event=event).delete()
    grip = Grip.of(own.values_list("pk", flat=True))
    rows = list(own.select_for_update(of=["self"]).order_by("lane_id", "sequence", "pk"))
    collected = [row.pk for row in rows if row.hold_cause == Delivery.HoldCause.COLLECTED]
    going = grip.in_flight | membership.bound(collected).keys()
    in_flight = [row for row in rows if row.pk in going]
    left = [row for row in rows if row.status in Delivery.UNFINISHED and row.pk not in going]
    for row in left:
        grip.free_lane(row, passes=True)
    if collected:
        membership.take_out([row.pk for row in left])
    operate.change("cancel", Delivery.objects.filter(pk__in=[row.pk for row in left]))
    grip.write()
    delivered = sum(row.status in {Status.DELIVERED, Status.DIGESTED} for row in rows)
    if not (in_flight or delivered):
        withheld = WithheldEvent.objects.filter(event=event, cause=Cause.HELD)
        withheld.update(cause=Cause.CANCELLED, since=Now())
        WithheldEvent.objects.get_or_create(event=event, defaults={"cause": Cause.CANCELLED})
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
