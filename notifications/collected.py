"""Saying of a delivery under storm control which digest it waits for, goes out in, or went out in."""

from datetime import datetime

from .models import Delivery, Digest

Status = Delivery.Status
_BECAME = {
    Status.DELIVERED: "was delivered",
    Status.DEAD: "is dead: retry the digest, or this one alone",
    Status.CANCELLED: "was cancelled",
    Status.SKIPPED: "was skipped",
    Status.SUPPRESSED: "was suppressed",
}


def digest_of(delivery: Delivery) -> Digest | None:
    """Return the digest of a delivery; it is read with `collected__digest__delivery`."""
    return delivery.collected.digest if hasattr(delivery, "collected") else None


def is_collected(delivery: Delivery) -> bool:
    """Whether it waits for a digest, or for the digest that it is in to end."""
    return delivery.status == Status.HELD and delivery.hold_cause == Delivery.HoldCause.COLLECTED


def waits(delivery: Delivery) -> str:
    """Return, in a sentence, what a collected delivery waits for."""
    digest = digest_of(delivery)
    if digest is None:
        return "Collected for a digest."
    if digest.delivery:
        state = Status(digest.delivery.status).label.lower()
        return f"Collected: it goes out in the digest {digest.delivery.public_id}, which is {state}."
    limit = delivery.subscription.storm_limit
    why = f": its subscription sends at most {limit:,} in a period one by one" if limit else ""
    lane = delivery.lane
    is_behind = lane is not None and lane.next_sequence < (delivery.sequence or 0)
    when = "once what is before it in its lane has gone" if is_behind else "now"
    return f"Collected for the digest due at {_time(digest.due_at)}{why}. Retry sends it alone, {when}."


def becomes(delivery: Delivery, at: str) -> str:
    """Return, in a sentence, what became of a digested delivery."""
    digest = digest_of(delivery)
    if digest is None or digest.delivery is None:
        return f"Digested{at}: it went out in a digest."
    carrier = digest.delivery
    became = _BECAME.get(Status(carrier.status), f"is {Status(carrier.status).label.lower()}")
    return f"Digested{at}: its digest {carrier.public_id} {became}."


def due(delivery: Delivery) -> str:
    """Return in a few words when its digest goes."""
    digest = digest_of(delivery)
    if digest is None or digest.delivery:
        return "with its digest"
    return f"digest at {_time(digest.due_at)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
