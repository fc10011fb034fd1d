"""Saying in one sentence where a delivery stands, and what has to happen for it to go on."""

from datetime import datetime

from .models import Delivery

Status = Delivery.Status


def in_flight(delivery: Delivery, now: datetime) -> bool:
    """Whether it is being sent: its channel lists it, under a lease that runs."""
    channel = delivery.channel
    return bool(
        channel and channel.leased_until and channel.leased_until > now and delivery.pk in channel.in_flight
    )


def state(delivery: Delivery, now: datetime) -> str:
    """Return its status as people read it, with "in flight" for what is being sent."""
    return "In flight" if in_flight(delivery, now) else Status(delivery.status).label


def explain(delivery: Delivery, now: datetime) -> str:
    """Return the sentence. Reads the delivery's channel, its endpoint or profile, and its lane."""
    if in_flight(delivery, now):
        return f"It is being sent now, as attempt {delivery.attempt_count + 1}."
    status = Status(delivery.status)
    if status in Delivery.WAITING:
        return _waiting(delivery, now)
    if status == Status.HELD:
        return f"Held: {_cause(delivery)} Retry it once that is mended, skip it, or cancel it."
    return _final(delivery, status)


def head_of(delivery: Delivery) -> Delivery | None:
    """Return the delivery at the head of its lane that it waits behind; None if it waits behind none."""
    lane = delivery.lane
    if not _is_behind(delivery) or lane is None:
        return None
    if lane.blocked_by:
        return lane.blocked_by
    head = lane.deliveries.filter(sequence=lane.next_sequence).first()
    if head:
        # They share what the sentence reads, so that it costs no more queries.
        head.lane, head.channel = lane, delivery.channel
    return head


def next_try(delivery: Delivery, now: datetime) -> str:
    """Return in a few words when it is tried next, or what it waits for; empty if it does not wait."""
    if Status(delivery.status) not in Delivery.WAITING:
        return ""
    if in_flight(delivery, now):
        return "now"
    if stopped := _stopped_by(delivery):
        return stopped
    if _is_behind(delivery) and delivery.lane:
        return f"behind #{delivery.lane.next_sequence}"
    due_at = _due_at(delivery)
    return _time(due_at) if due_at and due_at > now else "now"


def _is_behind(delivery: Delivery) -> bool:
    lane = delivery.lane
    waits = Status(delivery.status) in Delivery.UNFINISHED
    return bool(lane and waits and delivery.sequence is not None and lane.next_sequence < delivery.sequence)


def _due_at(delivery: Delivery) -> datetime | None:
    """Return when it is due; in a lane, the lane says so, and its receiver may have asked to wait."""
    lane = delivery.lane
    due_at = lane.due_at if lane and lane.due_at else delivery.due_at
    not_before = delivery.channel.not_before if delivery.channel else None
    return max(filter(None, (due_at, not_before)), default=None)


def _stopped_by(delivery: Delivery) -> str:
    """Return in two words why its endpoint or profile is not used now; empty if it is."""
    channel = delivery.channel
    destination = (channel.endpoint or channel.profile) if channel else None
    if channel is None or destination is None:
        return ""
    kind = "endpoint" if channel.endpoint else "profile"
    if not destination.is_active:
        return f"{kind} inactive"
    return f"{kind} paused" if destination.paused_reason or channel.is_paused else ""


def _final(delivery: Delivery, status: Delivery.Status) -> str:
    at = f" at {_time(delivery.settled_at)}" if delivery.settled_at else ""
    match status:
        case Status.DELIVERED:
            return f"Delivered{at}, at attempt {delivery.attempt_count}."
        case Status.DEAD:
            error = f" The last answer: {_sentence(delivery.last_error)}" if delivery.last_error else ""
            return f"Given up{at} after {_attempts(delivery.attempt_count)}.{error}"
        case Status.SUPPRESSED:
            return f"Not sent: {delivery.last_error or 'it was suppressed.'}"
    return f"{status.label}{at}: it is not sent."


def _waiting(delivery: Delivery, now: datetime) -> str:
    if stopped := _stopped(delivery):
        return stopped
    lane = delivery.lane
    if lane and delivery.sequence is not None:
        head = head_of(delivery)
        if head:
            return (
                f"Number {delivery.sequence} of its lane: waits behind {head.public_id} "
                f"(number {lane.next_sequence} of its lane), which {_stands(head, now)}"
            )
        if _is_behind(delivery):
            return (
                f"Waits for its turn: it is number {delivery.sequence} of its lane, "
                f"and number {lane.next_sequence} is next."
            )
    due_at = lane.due_at if lane and lane.due_at else delivery.due_at
    not_before = delivery.channel.not_before if delivery.channel else None
    if not_before and not_before > now and (due_at is None or not_before > due_at):
        return f"Waits until {_time(not_before)}: the receiver asked to be left alone until then."
    tried = f" {_attempts(delivery.attempt_count).capitalize()} failed." if delivery.attempt_count else ""
    if due_at and due_at > now:
        return f"Waits until {_time(due_at)} for its next attempt.{tried}"
    return f"Due now: it is sent as soon as a worker is free.{tried}"


def _stopped(delivery: Delivery) -> str:
    """Return why its endpoint or profile is not used now; empty if it is."""
    channel = delivery.channel
    destination = (channel.endpoint or channel.profile) if channel else None
    if destination is None:
        return ""
    kind = "endpoint" if channel and channel.endpoint else "SMTP profile"
    if not destination.is_active:
        return f"Waits: the {kind} {destination} is inactive."
    if destination.paused_reason:
        return f"Waits: the {kind} {destination} is paused: {destination.paused_reason}"
    return (
        f"Waits: its channel is paused, with the {kind} {destination}."
        if channel and channel.is_paused
        else ""
    )


def _stands(head: Delivery, now: datetime) -> str:
    """Return where the head of a lane stands, to follow "which"."""
    if in_flight(head, now):
        return "is being sent now."
    if Status(head.status) == Status.HELD:
        return f"is held: {_cause(head)}"
    due_at = _due_at(head)
    if due_at and due_at > now:
        return f"is tried next at {_time(due_at)}. {_sentence(head.last_error)}".strip()
    return "is due now."


def _cause(delivery: Delivery) -> str:
    cause = Delivery.HoldCause(delivery.hold_cause).label
    return f"{cause}. {_sentence(delivery.last_error)}".strip()


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"
