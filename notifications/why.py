"""Saying in one sentence where a delivery stands, and what has to happen for it to go on.

What is asked first: is it being sent; is anything switched off; is it behind another; does its receiver
rest; when is it due. All of it is read from the delivery's channel, circuit, lane and subscription, which a
list fetches with its rows.
"""

from datetime import datetime

from . import collected, diagnose
from .breaker import DISABLED
from .diagnose import sentence, utc
from .models import Circuit, Delivery, Subscription

Status = Delivery.Status
Cause = Delivery.HoldCause


def in_flight(delivery: Delivery, now: datetime) -> bool:
    """Whether it is being sent: its channel lists it, under a lease that runs."""
    channel = delivery.channel
    return bool(
        channel and channel.leased_until and channel.leased_until > now and delivery.pk in channel.in_flight
    )


def state(delivery: Delivery, now: datetime) -> str:
    """Return its status as people read it, with "in flight" for what is being sent."""
    if in_flight(delivery, now):
        return "In flight"
    return "Collected" if collected.is_collected(delivery) else Status(delivery.status).label


def explain(delivery: Delivery, now: datetime) -> str:
    """Return the sentence. Reads the delivery's channel, circuit, subscription and queue, and its lane."""
    if in_flight(delivery, now):
        circuit = _circuit(delivery)
        what = "a probe" if circuit and circuit.opened_at else f"attempt {delivery.attempt_count + 1}"
        return f"It is being sent now, as {what}."
    status = Status(delivery.status)
    if status in Delivery.WAITING:
        return _waiting(delivery, now)
    if status == Status.HELD:
        return _held(delivery)
    return _final(delivery, status)


def _held(delivery: Delivery) -> str:
    if delivery.hold_cause == Cause.PAUSED:
        return _held_for_pause(delivery)
    if delivery.hold_cause in {Cause.OPERATOR, Cause.PUBLISHER}:
        return f"{_cause(delivery)} It goes on once it is released; retry it to send it now, or cancel it."
    if collected.is_collected(delivery):
        return collected.waits(delivery)
    return f"Held: {_cause(delivery)} Retry it once that is mended, skip it, or cancel it."


def head_of(delivery: Delivery) -> Delivery | None:
    """Return the delivery at the head of its lane that it waits behind; None if it waits behind none."""
    lane = delivery.lane
    if not _is_behind(delivery) or lane is None:
        return None
    head = lane.blocked_by or lane.deliveries.filter(sequence=lane.next_sequence).first()
    if head:
        # They share what the sentence reads, so that it costs no more queries.
        head.lane, head.channel, head.subscription = lane, delivery.channel, delivery.subscription
    return head


def paused_by(subscription: Subscription) -> str:
    """Return what is paused, as in "queue billing" or "subscription hooks"; empty if neither is."""
    if subscription.queue.is_paused:
        return f"queue {subscription.queue}"
    return f"subscription {subscription}" if subscription.is_paused else ""


def next_try(delivery: Delivery, now: datetime) -> str:
    """Return in a few words when it is tried next, or what it waits for; empty if it waits for a person."""
    status = Status(delivery.status)
    if status == Status.HELD and delivery.hold_cause == Cause.PAUSED:
        return _paused_by(delivery) or "soon"
    if collected.is_collected(delivery):
        return collected.due(delivery)
    if status not in Delivery.WAITING:
        return ""
    if in_flight(delivery, now):
        return "now"
    if obstacle := _stopped_by(delivery) or _paused_by(delivery) or _behind(delivery) or _slow(delivery, now):
        return obstacle
    due_at = _due_at(delivery)
    return utc(due_at) if due_at and due_at > now else "now"


def _circuit(delivery: Delivery) -> Circuit | None:
    return delivery.channel.circuit if delivery.channel else None


def _destination(delivery: Delivery) -> diagnose.Destination | None:
    channel = delivery.channel
    destination = (channel.endpoint or channel.profile) if channel else None
    if channel and destination:
        # Read with the channel: asking the destination for it would be a query each.
        destination.circuit = channel.circuit
    return destination


def _noun(delivery: Delivery) -> str:
    return "endpoint" if delivery.channel and delivery.channel.endpoint_id else "profile"


def _is_behind(delivery: Delivery) -> bool:
    lane = delivery.lane
    waits = Status(delivery.status) in Delivery.UNFINISHED
    return bool(lane and waits and delivery.sequence is not None and lane.next_sequence < delivery.sequence)


def _due_at(delivery: Delivery) -> datetime | None:
    """Return when it is due; in a lane, the lane says so, and its receiver may have asked to wait."""
    not_before = delivery.channel.not_before if delivery.channel else None
    return max(filter(None, (_own_due_at(delivery), not_before)), default=None)


def _own_due_at(delivery: Delivery) -> datetime | None:
    return delivery.lane.due_at if delivery.lane and delivery.lane.due_at else delivery.due_at


def _paused_by(delivery: Delivery) -> str:
    """Return in two words what of its queue and subscription is paused; empty if neither is."""
    paused = paused_by(delivery.subscription)
    return f"{paused.partition(' ')[0]} paused" if paused else ""


def _pause(delivery: Delivery) -> str:
    """Return how its queue or subscription is paused, to follow "is"."""
    queue = delivery.subscription.queue
    return sentence(f"paused {diagnose.note(queue if queue.is_paused else delivery.subscription)}".strip())


def _behind(delivery: Delivery) -> str:
    lane = delivery.lane
    if lane is None or not _is_behind(delivery):
        return ""
    if lane.blocked_by and collected.is_collected(lane.blocked_by):
        return f"behind #{lane.next_sequence}, collected"
    return f"behind #{lane.next_sequence}{', held' if lane.blocked_by_id else ''}"


def _slow(delivery: Delivery, now: datetime) -> str:
    """Return in two words why its endpoint or profile takes little now; empty if a time says it all."""
    destination, channel, due_at = _destination(delivery), delivery.channel, _own_due_at(delivery)
    if destination is None or channel is None:
        return ""
    if channel.circuit.opened_at:
        return f"{_noun(delivery)} failing"
    is_due = due_at is None or due_at <= now
    return "rate limited" if is_due and diagnose.is_limited(destination, channel, now) else ""


def _stopped_by(delivery: Delivery) -> str:
    """Return in two words why its endpoint or profile is not used now; empty if it is."""
    destination, channel = _destination(delivery), delivery.channel
    if destination is None or channel is None:
        return ""
    if not destination.is_active:
        return f"{_noun(delivery)} paused"
    if destination.paused_reason.startswith(DISABLED):
        return f"{_noun(delivery)} disabled"
    return f"{_noun(delivery)} paused" if destination.paused_reason or channel.is_paused else ""


def _final(delivery: Delivery, status: Delivery.Status) -> str:
    at = f" at {utc(delivery.settled_at)}" if delivery.settled_at else ""
    match status:
        case Status.DELIVERED:
            return f"Delivered{at}, at attempt {delivery.attempt_count}."
        case Status.DEAD:
            error = f" The last answer: {sentence(delivery.last_error)}" if delivery.last_error else ""
            return f"Given up{at} after {diagnose.count(delivery.attempt_count, 'attempt')}.{error}"
        case Status.DIGESTED:
            return collected.becomes(delivery, at)
        case Status.SUPPRESSED:
            return f"Not sent: {delivery.last_error or 'it was suppressed.'}"
        case Status.CANCELLED if delivery.last_error:
            return f"Cancelled{at}: it is not sent. {sentence(delivery.last_error)}"
    return f"{status.label}{at}: it is not sent."


def _held_for_pause(delivery: Delivery) -> str:
    if paused := paused_by(delivery.subscription):
        return f"Held: its {paused} is {_pause(delivery)} It goes on, in order, once that is resumed."
    return "Held for a pause that is over: it goes on within a minute."


def _waiting(delivery: Delivery, now: datetime) -> str:
    if stops := _stops(delivery):
        return " Besides, ".join([f"Waits: {stops[0]}", *stops[1:]])
    lane = delivery.lane
    if lane and (head := head_of(delivery)):
        return (
            f"Number {delivery.sequence} of its lane: waits behind {head.public_id} "
            f"(number {head.sequence} of its lane), which {_stands(head, now)}"
        )
    if lane and _is_behind(delivery):
        return (
            f"Waits for its turn: it is number {delivery.sequence} of its lane, "
            f"and number {lane.next_sequence} is next."
        )
    tried = f" {diagnose.count(delivery.attempt_count, 'attempt')} failed." if delivery.attempt_count else ""
    due_at = _own_due_at(delivery)
    if rest := _rest(delivery, now):
        return f"Waits: {rest}"
    if due_at and due_at > now:
        return f"Waits until {utc(due_at)} for its next attempt.{tried}"
    return f"Due now: it is sent as soon as {diagnose.turn(_destination(delivery), now)}{tried}"


def _stops(delivery: Delivery) -> list[str]:
    """Return, as clauses, all that somebody has switched off, or that was switched off for its failures."""
    destination, channel = _destination(delivery), delivery.channel
    stops = []
    if destination and (stopped := diagnose.stopped(destination)):
        stops.append(stopped)
    elif destination and channel and channel.is_paused:
        stops.append(f"its channel is paused, with the {diagnose.kind(destination)} {destination}.")
    if paused := paused_by(delivery.subscription):
        stops.append(f"its {paused} is {_pause(delivery)} It goes on, in order, once that is resumed.")
    return stops


def _rest(delivery: Delivery, now: datetime) -> str:
    """Return, as a clause, why its endpoint or profile lets it wait; empty if it does not."""
    destination, channel = _destination(delivery), delivery.channel
    return diagnose.rest(destination, channel, _own_due_at(delivery), now) if destination and channel else ""


def _stands(head: Delivery, now: datetime) -> str:
    """Return where the head of a lane stands, to follow "which"."""
    if in_flight(head, now):
        return "is being sent now."
    if Status(head.status) == Status.HELD and head.hold_cause == Cause.PAUSED:
        return f"is {_held_for_pause(head).replace('Held', 'held', 1)}"
    if Status(head.status) == Status.HELD:
        waits = collected.waits(head).replace("C", "c", 1) if collected.is_collected(head) else ""
        return f"is {waits}" if waits else f"is held: {_cause(head)}"
    if rest := _rest(head, now):
        return f"waits: {rest}"
    due_at = _due_at(head)
    if due_at and due_at > now:
        return f"is tried next at {utc(due_at)}. {sentence(head.last_error)}".strip()
    return "is due now."


def _cause(delivery: Delivery) -> str:
    cause = Cause(delivery.hold_cause).label
    return f"{cause}. {sentence(delivery.last_error)}".strip()
