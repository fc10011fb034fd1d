"""Saying in words how an endpoint or SMTP profile fares: whether it is used, fails, recovers or is limited."""

from datetime import UTC, datetime, timedelta

from django.db import models

from smtpprofiles.models import SmtpProfile

from .breaker import DISABLED, SLOW_START
from .models import Channel, Circuit, Endpoint

Destination = Endpoint | SmtpProfile
Rest = Channel.RestCause

# A circuit that closed so recently may still be in its slow start.
RECOVERS_FOR = timedelta(seconds=10 * SLOW_START)
# A channel whose rate was used up so recently is still limited by it: tokens come several at a time.
LIMITED_FOR = timedelta(seconds=2)


class State(models.TextChoices):
    """What an operator sees first of an endpoint or SMTP profile."""

    RUNNING = "running", "Running"
    FAILING = "failing", "Failing"
    PAUSED = "paused", "Paused"


def kind(destination: Destination) -> str:
    """Return "endpoint" or "SMTP profile"."""
    return "endpoint" if isinstance(destination, Endpoint) else "SMTP profile"


def circuit_of(destination: Destination) -> Circuit | None:
    """Return its circuit; None where its channels are not made yet."""
    return getattr(destination, "circuit", None)


def state(destination: Destination) -> State:
    """Return its state."""
    if not destination.is_active or destination.paused_reason:
        return State.PAUSED
    circuit = circuit_of(destination)
    return State.FAILING if circuit and circuit.opened_at else State.RUNNING


def status(destination: Destination, now: datetime) -> str:
    """Return its state with what matters about it, for a list."""
    circuit, found = circuit_of(destination), state(destination)
    match found:
        case State.PAUSED if not destination.is_active:
            told = note(destination)
            return f"paused {told}" if told else "paused: what is for it waits"
        case State.PAUSED:
            is_disabled = destination.paused_reason.startswith(DISABLED)
            reason = destination.paused_reason.removeprefix(DISABLED)
            return f"{'disabled' if is_disabled else 'paused'}: {reason}"
        case State.FAILING if circuit:
            return f"failing since {utc(circuit.failing_since)}: one probe at a time"
    return "running: it recovers" if recovers(circuit, now) else "running"


def stopped(destination: Destination) -> str:
    """Return in a clause why it is not used at all; empty if it is."""
    name = f"the {kind(destination)} {destination}"
    match state(destination):
        case State.PAUSED if not destination.is_active:
            return sentence(f"{name} is paused {note(destination)}".strip())
        case State.PAUSED if destination.paused_reason.startswith(DISABLED):
            reason = destination.paused_reason.removeprefix(DISABLED)
            return f"{name} is disabled: {sentence(reason)} Resume it once it works again."
        case State.PAUSED:
            return f"{name} is paused: {sentence(destination.paused_reason)}"
    return ""


def note(row: models.Model) -> str:
    """Return since when, by whom and why a person paused it, where that was asked for (pauses.py) and is known."""
    return str(getattr(row, "pause_note", ""))


def rest(destination: Destination, channel: Channel, due_at: datetime | None, now: datetime) -> str:
    """Return in a clause why it lets what is due at `due_at` wait; empty if it does not."""
    name, until, circuit = f"the {kind(destination)} {destination}", channel.not_before, channel.circuit
    if circuit.opened_at:
        next_at = max(filter(None, (circuit.probe_at, until)), default=None)
        return f"{name} {failing(circuit, next_at, now)}"
    is_due, asked, hanging = due_at is None or due_at <= now, Rest.ASKED, Rest.HANGING
    if (
        until
        and until > now
        and (due_at is None or due_at < until)
        and channel.rest_cause in (asked, hanging)
    ):
        if channel.rest_cause == asked:
            return f"{name} asked to be left alone until {utc(until)} (Retry-After)."
        often = f", {times(circuit.timeouts)} in a row" if circuit.timeouts > 1 else ""
        return f"{name} did not answer in time{often}; it rests until {utc(until)}."
    if not is_due or not is_limited(destination, channel, now):
        return ""
    if rate := backlog_rate(destination):
        return f"the backlog of {name} goes at {rate:,} a minute; {circuit.backlog_left:,} of it are left."
    return f"{name} has used up its rate limit of {destination.rate_per_minute:,} a minute for now."


def is_limited(destination: Destination, channel: Channel, now: datetime) -> bool:
    """Whether a rate lets what is due wait: that of its backlog, or its own where that is used up."""
    if backlog_rate(destination):
        return True
    limited_until = channel.not_before if channel.rest_cause == Rest.RATE else None
    return bool(destination.rate_per_minute and limited_until and limited_until > now - LIMITED_FOR)


def turn(destination: Destination | None, now: datetime) -> str:
    """Return when something due is sent, to follow "as soon as"."""
    if destination and recovers(circuit_of(destination), now):
        name = f"the {kind(destination)} {destination}"
        return f"its turn comes; {name} recovers, so few are sent at once."
    rate = destination.rate_per_minute if destination else None
    return "a worker is free" + (f" and the rate limit of {rate:,} a minute lets it." if rate else ".")


def failing(circuit: Circuit, next_at: datetime | None, now: datetime) -> str:
    """Return what follows from an open circuit, to follow the name of its destination."""
    probe = "as soon as a worker is free" if next_at is None or next_at <= now else f"at {utc(next_at)}"
    return (
        f"has failed {times(circuit.failures)} in a row since {utc(circuit.failing_since)}; nothing is sent "
        f"but one probe at a time, the next {probe}; no attempt is spent meanwhile."
    )


def circuit_story(destination: Destination, now: datetime) -> str:
    """Return how its circuit stands, in full sentences."""
    circuit = circuit_of(destination)
    if circuit is None:
        return "Closed: nothing was sent yet."
    if circuit.opened_at:
        failed = f" {count(circuit.probes, 'probe')} failed since then." if circuit.probes else ""
        return (
            f"Open since {utc(circuit.opened_at)}.{failed} It {failing(circuit, circuit.probe_at, now)} "
            "The first success makes all that waits due, with a slow start. "
            "Saving this page has it probed at once."
        )
    if recovers(circuit, now):
        return f"Closed since {utc(circuit.closed_at)}: it recovers, so few are sent at once."
    if circuit.failures:
        since = f", the first at {utc(circuit.failing_since)}" if circuit.failures > 1 else ""
        hangs = (
            f" {times(circuit.timeouts).capitalize()} it did not answer in time." if circuit.timeouts else ""
        )
        return f"Closed. {count(circuit.failures, 'failure')} in a row{since}.{hangs}"
    return "Closed: no failure is counted."


def recovers(circuit: Circuit | None, now: datetime) -> bool:
    """Whether it works again since so short a time that few are sent at once."""
    return bool(circuit and circuit.closed_at and now - circuit.closed_at <= RECOVERS_FOR)


def backlog_rate(destination: Destination) -> int | None:
    """Return the rate of a backlog that was let go at one; None if there is none."""
    circuit = circuit_of(destination)
    if circuit is None or not circuit.backlog_left or not circuit.backlog_per_minute:
        return None
    return min(filter(None, (circuit.backlog_per_minute, destination.rate_per_minute)))


def rate_story(destination: Destination) -> str:
    """Return its rate limit and that of its backlog, in full sentences."""
    own = destination.rate_per_minute
    told = f"{own:,} a minute at most." if own else "No limit."
    circuit, rate = circuit_of(destination), backlog_rate(destination)
    if circuit and rate:
        left = -(-circuit.backlog_left // rate)
        told += (
            f" Its backlog goes at {rate:,} a minute: {circuit.backlog_left:,} left, about {span(left)}. "
            "To choose another rate, pause and resume it."
        )
    return told


def span(minutes: int) -> str:
    """Return a duration for people: 5 minutes, 2 hours 5 minutes, 3 days 2 hours."""
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    told = [count(number, noun) for number, noun in parts if number]
    return " ".join(told[:2]) or "less than a minute"


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    """Return how often: once, 7 times."""
    return "once" if number == 1 else f"{number:,} times"


def utc(moment: datetime | None) -> str:
    """Return a time as every page writes it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"


def sentence(text: str) -> str:
    """Return a text that ends as a sentence does."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
