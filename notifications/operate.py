"""What an operator may do to deliveries: retry, skip, cancel.

1. Rows are locked as every other writer locks them: channels by id, then lanes, then deliveries.
2. What is in flight (listed by a channel under a running lease) is refused: its result is on its way.
3. A worker that holds a channel hears of the change by the channel's wake counter; its lease, and so its due
   time, is left alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from django.db import OperationalError, connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Greatest, Now
from psycopg.errors import DeadlockDetected

from . import channels, finish_digests, membership
from .audit import Actor, record
from .models import Channel, Delivery, Lane
from .nudge import nudge
from .why import paused_by

Verb = Literal["retry", "skip", "cancel"]
Status = Delivery.Status

# How many deliveries one call takes on: it holds their locks until it commits.
LIMIT = 1_000
TRIES = 3  # should PostgreSQL find a deadlock with a worker
_PASSED = "its lane has gone on past it, so it cannot be sent in its place any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How many deliveries were changed, and how many were refused for which reason."""

    done: int
    refused: Mapping[str, int]


@dataclass(slots=True)
class _Locked:
    """The rows of one call, under lock, and what is to change in them."""

    in_flight: set[int]
    lanes: dict[int, Lane]
    bound: Mapping[int, str] = field(default_factory=dict)  # what goes out in a digest, and in which
    woken: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)


def retry(delivery_ids: Iterable[int], actor: Actor, reason: str = "") -> Report:
    """Send held, dead or waiting deliveries now, and alone what was for a digest; unblock lanes that they block.

    It costs no step of the schedule: a failure takes the step again that the last one took.
    """
    return _operate("retry", delivery_ids, actor, reason)


def skip(delivery_ids: Iterable[int], actor: Actor, reason: str = "") -> Report:
    """Let lanes go on without these deliveries; what is sent next says that they were skipped."""
    return _operate("skip", delivery_ids, actor, reason)


def cancel(delivery_ids: Iterable[int], actor: Actor, reason: str = "") -> Report:
    """Give up what has not been delivered; its lane, if it has one, goes on."""
    return _operate("cancel", delivery_ids, actor, reason)


def _operate(verb: Verb, delivery_ids: Iterable[int], actor: Actor, reason: str) -> Report:
    """Do it; again, where a worker that locks the same channels made PostgreSQL break off."""
    wanted = list(delivery_ids)
    for _ in range(TRIES - 1):
        try:
            return _operate_once(verb, wanted, actor, reason)
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or connection.in_atomic_block:
                raise
    return _operate_once(verb, wanted, actor, reason)


@transaction.atomic
def _operate_once(verb: Verb, delivery_ids: Iterable[int], actor: Actor, reason: str) -> Report:
    wanted = sorted(set(delivery_ids))
    ids, refused = wanted[:LIMIT], Counter[str]()
    if len(wanted) > LIMIT:
        refused[f"more than {LIMIT:,} at once; do it again for the others"] = len(wanted) - LIMIT
    locked = _lock(ids)
    done = []
    rows = Delivery.objects.select_for_update(of=["self"]).select_related("subscription__queue")
    found = list(rows.filter(pk__in=ids).order_by("lane_id", "sequence", "pk"))
    collected = [each.pk for each in found if each.hold_cause == Delivery.HoldCause.COLLECTED]
    locked.bound = membership.bound(collected)
    for delivery in found:
        if refusal := _refusal(verb, delivery, locked):
            refused[refusal] += 1
            continue
        done.append(delivery)
        _move_lane(verb, delivery, locked)
        locked.woken.add(delivery.channel_id or 0)
    if collected:
        membership.take_out([delivery.pk for delivery in done])
    _write(verb, Delivery.objects.filter(pk__in=[delivery.pk for delivery in done]), locked)
    record(actor, f"delivery.{verb}", [delivery.public_id for delivery in done], reason)
    if done:
        transaction.on_commit(partial(nudge), robust=True)
        transaction.on_commit(finish_digests.finish, robust=True)  # one of them may be a digest
    return Report(done=len(done), refused=dict(refused))


def _lock(ids: list[int]) -> _Locked:
    """Lock the channels and lanes of these deliveries."""
    places = list(Delivery.objects.filter(pk__in=ids).values_list("channel", "lane", "lane__channel"))
    channel_ids = {pk for channel, _, lanes_channel in places for pk in (channel, lanes_channel) if pk}
    leased = ExpressionWrapper(Q(leased_until__gt=Now()), output_field=BooleanField())
    rows = Channel.objects.select_for_update().filter(pk__in=channel_ids).order_by("pk")
    in_flight = {
        delivery
        for is_leased, listed in rows.annotate(leased=leased).values_list("leased", "in_flight")
        if is_leased
        for delivery in listed
    }
    lane_ids = {lane for _, lane, _ in places if lane}
    lanes = Lane.objects.select_for_update().filter(pk__in=lane_ids).order_by("pk")
    return _Locked(in_flight=in_flight, lanes={lane.pk: lane for lane in lanes})


def _refusal(verb: Verb, delivery: Delivery, locked: _Locked) -> str:
    """Return why the verb cannot be done to this delivery; empty if it can."""
    status = Status(delivery.status)
    if delivery.pk in locked.in_flight:
        return "in flight: its result is on its way"
    if digest := locked.bound.get(delivery.pk):
        return f"it goes out in the digest {digest}: operate that one"
    if verb != "retry":
        if status not in Delivery.UNFINISHED:
            return f"already {status.label.lower()}"
        return (
            "not in a lane, so nothing waits behind it: cancel it"
            if verb == "skip" and not delivery.lane_id
            else ""
        )
    return _retry_refusal(delivery, status, locked)


def _retry_refusal(delivery: Delivery, status: Delivery.Status, locked: _Locked) -> str:
    if status == Status.PENDING:
        return "not tried yet: it is sent when its turn comes"
    if status not in (Status.RETRYING, Status.HELD, Status.DEAD, Status.DIGESTED):
        return f"already {status.label.lower()}"
    lane = locked.lanes.get(delivery.lane_id or 0)
    if lane and (delivery.sequence or 0) < lane.next_sequence:
        return _PASSED
    if paused := paused_by(delivery.subscription):
        return f"its {paused} is paused: resume the {paused.partition(' ')[0]}, and it goes on"
    return ""


def _move_lane(verb: Verb, delivery: Delivery, locked: _Locked) -> None:
    """Unblock the lane whose head this is, and move on from one that is not sent."""
    lane = locked.lanes.get(delivery.lane_id or 0)
    if lane is None or delivery.sequence is None:
        return
    locked.woken.add(lane.channel_id)
    if lane.blocked_by_id != delivery.pk and lane.next_sequence != delivery.sequence:
        return
    if verb != "retry":
        lane.next_sequence = delivery.sequence + 1
    lane.blocked_by_id = None
    goes_on = lane.next_sequence <= lane.tail
    lane.due_at = Now() if goes_on else None
    locked.changed.add(lane.pk)


def _write(verb: Verb, deliveries: QuerySet[Delivery], locked: _Locked) -> None:
    if verb == "retry":
        # What is waiting for its next try already keeps its status and is only due earlier.
        deliveries.filter(hold_cause=Delivery.HoldCause.CRASHED).update(crash_count=0)
        # A try that a person asks for is not one of the schedule's.
        deliveries.update(attempt_count=Greatest(F("attempt_count") - 1, 0))
        deliveries.filter(status=Status.RETRYING).update(due_at=Now())
        deliveries.filter(status__in=[Status.HELD, Status.DEAD, Status.DIGESTED]).update(
            status=Status.PENDING, hold_cause="", due_at=Now(), settled_at=None
        )
    else:
        status = Status.SKIPPED if verb == "skip" else Status.CANCELLED
        deliveries.update(status=status, hold_cause="", due_at=None, settled_at=Now())
    lanes = [locked.lanes[pk] for pk in sorted(locked.changed)]
    Lane.objects.bulk_update(lanes, ["next_sequence", "blocked_by", "due_at"])
    channels.wake(locked.woken)
