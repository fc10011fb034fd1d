"""What an operator may do to deliveries: retry, skip, cancel, hold, release.

What is in flight (listed by a channel under a running lease) is refused: its result is on its way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Greatest, Now
from psycopg.errors import DeadlockDetected

from events.models import ApiKey

from . import finish_digests, membership
from .audit import Actor, record
from .excluded import excluded
from .grip import Grip
from .models import Delivery
from .nudge import nudge
from .why import paused_by

Verb = Literal["retry", "skip", "cancel", "hold", "release"]
Status = Delivery.Status
Cause = Delivery.HoldCause
T = TypeVar("T")

# How many deliveries one call takes on: it holds their locks until it commits.
LIMIT = 1_000
TRIES = 3  # should PostgreSQL find a deadlock with a worker
_PASSED = "its lane has gone on past it, so it cannot be sent in its place any more: replay it"
_PUBLISHERS = "held by its publisher: who published it releases it"
RELEASABLE = (Cause.OPERATOR, Cause.PUBLISHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How many deliveries were changed, and how many were refused for which reason."""

    done: int
    refused: Mapping[str, int]


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


def hold(delivery_ids: Iterable[int], actor: Actor, reason: str = "") -> Report:
    """Keep what waits from being sent until it is released; its lane, if it has one, waits behind it."""
    return _operate("hold", delivery_ids, actor, reason)


def release(delivery_ids: Iterable[int], actor: Actor, reason: str = "") -> Report:
    """Let go on what a person or the event's publisher held; it keeps its place and its schedule."""
    return _operate("release", delivery_ids, actor, reason)


def deadlocks_again(act: Callable[[], T]) -> T:
    """Do it; again, where a worker that locks the same channels made PostgreSQL break off."""
    for _ in range(TRIES - 1):
        try:
            return act()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or connection.in_atomic_block:
                raise
    return act()


def _operate(verb: Verb, delivery_ids: Iterable[int], actor: Actor, reason: str) -> Report:
    return deadlocks_again(partial(_operate_once, verb, list(delivery_ids), actor, reason))


@transaction.atomic
def _operate_once(verb: Verb, delivery_ids: Iterable[int], actor: Actor, reason: str) -> Report:
    wanted = sorted(set(delivery_ids))
    ids, refused = wanted[:LIMIT], Counter[str]()
    if len(wanted) > LIMIT:
        refused[f"more than {LIMIT:,} at once; do it again for the others"] = len(wanted) - LIMIT
    grip = Grip.of(ids)
    done = []
    rows = Delivery.objects.select_for_update(of=["self"]).select_related("subscription__queue")
    found = list(rows.filter(pk__in=ids).order_by("lane_id", "sequence", "pk"))
    collected = [each.pk for each in found if each.hold_cause == Cause.COLLECTED]
    bound = membership.bound(collected)
    barred = _barred(verb, found, actor)
    for delivery in found:
        if refusal := _refusal(verb, delivery, grip, bound) or barred.get(delivery.pk, ""):
            refused[refusal] += 1
            continue
        done.append(delivery)
        if verb == "hold":
            grip.block_lane(delivery)
        else:
            grip.free_lane(delivery, passes=verb in {"skip", "cancel"})
    if collected:
        membership.take_out([delivery.pk for delivery in done])
    change(verb, Delivery.objects.filter(pk__in=[delivery.pk for delivery in done]))
    grip.write()
    record(actor, f"delivery.{verb}", [delivery.public_id for delivery in done], reason)
    if done:
        transaction.on_commit(partial(nudge), robust=True)
        # One of them may be a digest; what is left of a large one, `go_on` settles.
        transaction.on_commit(partial(finish_digests.finish, seconds=2.0), robust=True)
    return Report(done=len(done), refused=dict(refused))


def _barred(verb: Verb, found: list[Delivery], actor: Actor) -> dict[int, str]:
    """Return what may not be sent at this actor's word, whatever its state, by primary key."""
    if verb not in {"retry", "release", "skip"}:
        return {}
    barred: dict[int, str] = {}
    if verb == "retry":
        whys = excluded(found)
        barred |= {pk: why[0].lower() + why[1:].removesuffix(".") for pk, why in whys.items()}
    if isinstance(actor, ApiKey) and not actor.is_operator:
        held = [each.pk for each in found if each.hold_cause == Cause.PUBLISHER]
        barred |= dict.fromkeys(held, _PUBLISHERS)
    return barred


def _refusal(verb: Verb, delivery: Delivery, grip: Grip, bound: Mapping[int, str]) -> str:
    """Return why the verb cannot be done to this delivery; empty if it can."""
    status = Status(delivery.status)
    if delivery.pk in grip.in_flight:
        return "in flight: its result is on its way"
    if digest := bound.get(delivery.pk):
        return f"it goes out in the digest {digest}: operate that one"
    if verb == "retry":
        return _retry_refusal(delivery, status, grip)
    if status not in Delivery.UNFINISHED or (verb == "hold" and status == Status.HELD):
        return f"already {status.label.lower()}"
    if verb == "release":
        return _release_refusal(delivery, status)
    is_loose = verb == "skip" and not delivery.lane_id
    return "not in a lane, so nothing waits behind it: cancel it" if is_loose else ""


def _retry_refusal(delivery: Delivery, status: Delivery.Status, grip: Grip) -> str:
    if status == Status.PENDING:
        return "not tried yet: it is sent when its turn comes"
    if status not in (Status.RETRYING, Status.HELD, Status.DEAD, Status.DIGESTED):
        again = ": replay it to send it again" if status in (Status.DELIVERED, Status.SKIPPED) else ""
        return f"already {status.label.lower()}{again}"
    lane = grip.lane_of(delivery)
    if lane and (delivery.sequence or 0) < lane.next_sequence:
        return _PASSED
    if paused := paused_by(delivery.subscription):
        return f"its {paused} is paused: resume the {paused.partition(' ')[0]}, and it goes on"
    return ""


def _release_refusal(delivery: Delivery, status: Delivery.Status) -> str:
    if status != Status.HELD:
        return "not held: it is sent when its turn comes"
    if delivery.hold_cause in RELEASABLE:
        return ""
    if delivery.hold_cause == Cause.PAUSED and (paused := paused_by(delivery.subscription)):
        return f"its {paused} is paused: resume the {paused.partition(' ')[0]}, and it goes on"
    return "held by no person: retry it once its cause is mended, skip it, or cancel it"


def change(verb: Verb, deliveries: QuerySet[Delivery], *, cause: str = Cause.OPERATOR) -> None:
    """Write the new state of deliveries that are under lock and may take it."""
    match verb:
        case "retry":
            # What is waiting for its next try already keeps its status and is only due earlier.
            deliveries.filter(hold_cause=Cause.CRASHED).update(crash_count=0)
            # A try that a person asks for is not one of the schedule's.
            deliveries.update(attempt_count=Greatest(F("attempt_count") - 1, 0))
            deliveries.filter(status=Status.RETRYING).update(due_at=Now())
            deliveries.filter(status__in=[Status.HELD, Status.DEAD, Status.DIGESTED]).update(
                status=Status.PENDING, hold_cause="", due_at=Now(), settled_at=None
            )
        case "hold":
            deliveries.update(status=Status.HELD, hold_cause=cause, due_at=None)
        case "release":
            tried = When(attempt_count__gt=0, then=Value(Status.RETRYING))
            status = Case(tried, default=Value(Status.PENDING))
            deliveries.update(status=status, hold_cause="", due_at=Now())
        case _:
            final = Status.SKIPPED if verb == "skip" else Status.CANCELLED
            deliveries.update(status=final, hold_cause="", due_at=None, settled_at=Now())
