"""When an endpoint or profile is failing, and what is done about it. Plain values, no database, no clock.

1. Five failures in a row, of at least two deliveries, open the circuit: nothing is sent but one probe at a
   time. One delivery that fails alone only follows its own schedule.
2. Probes back off from 5 s to 5 min. A success closes the circuit; what waits is due again, with a slow start.
3. A time-out costs a thread for as long as it lasts. After the second in a row a receiver rests between
   tries, and the longer, the more receivers hang: so that all of them together never take every thread.
4. Five days after it opened without one success it is disabled. What waits for it is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .transports.base import Outcome, Verdict

OPENS_AFTER = 5  # failures in a row
FIRST_PROBE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
DISABLED_AFTER = timedelta(days=5)
# How the reason of a destination begins that was disabled after failing for so long.
DISABLED = "Disabled: "
# Seconds in which a circuit that was closed doubles what may be in flight, from one.
SLOW_START = 5.0

# Answers that say something of the one message, and nothing of who gave them.
_OF_THE_MESSAGE = (400, 409, 413, 415, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one attempt says of its destination."""

    delivery_id: int
    is_good: bool
    is_probe: bool = False
    timed_out: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The part of a circuit that answers change; times are the database's."""

    failures: int = 0
    failed_deliveries: int = 0
    last_failed: int | None = None
    timeouts: int = 0
    failing_since: datetime | None = None
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    probes: int = 0
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing but a probe may be sent."""
        return self.opened_at is not None


def answer(outcome: Outcome, delivery_id: int, *, is_probe: bool = False) -> Answer | None:
    """Return what an outcome says of its destination; None where it only speaks of the message.

    For a probe that is enough: whoever finds fault with the message answers again.
    """
    if outcome.verdict is Verdict.BLOCKED:
        return None
    if outcome.verdict is Verdict.DELIVERED or (is_probe and _is_of_the_message(outcome)):
        return Answer(delivery_id=delivery_id, is_good=True, is_probe=is_probe)
    if _is_of_the_message(outcome) or (outcome.retry_after and not is_probe):
        return None
    return Answer(
        delivery_id=delivery_id,
        is_good=False,
        is_probe=is_probe,
        timed_out=outcome.error_class == "timeout",
        detail=outcome.detail,
    )


def after(state: State, answers: Sequence[Answer], *, now: datetime) -> State:
    """Return the state after these answers, in their order."""
    for one in answers:
        state = _after_success(state, now) if one.is_good else _after_failure(state, one, now)
    return state


def rest(state: State, *, now: datetime, crowd: timedelta) -> datetime | None:
    """Return until when nothing may be sent; None if something may.

    `crowd` is how long a hanging receiver has to rest so that all of them fit into the threads.
    """
    if state.probe_at is not None:
        return max(state.probe_at, now + crowd) if state.timeouts else state.probe_at
    if not state.timeouts:
        return None
    own = backoff(state.timeouts - 2) if state.timeouts > 1 else timedelta(0)
    wait = max(own, crowd)
    return now + wait if wait else None


def backoff(failed: int) -> timedelta:
    """Return the pause after `failed` failed probes: 5 s, doubled each time, at most 5 min."""
    return min(LONGEST_PAUSE, FIRST_PROBE * (1 << min(failed, 10)))


def is_lost_cause(state: State, *, now: datetime) -> bool:
    """Whether it has failed for so long that it is disabled."""
    return state.opened_at is not None and now - state.opened_at >= DISABLED_AFTER


def slow_start(limit: int, seconds_since_closed: float | None) -> int:
    """Return how many sends may be in flight, so long after the circuit closed; None: it never opened."""
    if seconds_since_closed is None or seconds_since_closed > 10 * SLOW_START:
        return limit
    return min(limit, 1 << int(max(0.0, seconds_since_closed) / SLOW_START))


def _is_of_the_message(outcome: Outcome) -> bool:
    if outcome.retry_after:
        return False
    # A mail server that puts off one recipient (greylisting) serves the next; 421 is about itself.
    puts_off = outcome.error_class == "smtp_4xx" and outcome.status_code != 421
    return outcome.verdict is Verdict.REJECTED or outcome.status_code in _OF_THE_MESSAGE or puts_off


def _after_success(state: State, now: datetime) -> State:
    return State(closed_at=now if state.is_open else state.closed_at)


def _after_failure(state: State, failure: Answer, now: datetime) -> State:
    failures = state.failures + 1
    others = state.failed_deliveries + (failure.delivery_id != state.last_failed)
    failed = replace(
        state,
        failures=failures,
        failed_deliveries=others,
        last_failed=failure.delivery_id,
        timeouts=state.timeouts + 1 if failure.timed_out else 0,
        failing_since=state.failing_since or now,
        closed_at=None,
    )
    if state.is_open and not failure.is_probe:
        return failed  # it was under way when the circuit opened
    if state.is_open:
        return replace(failed, probes=state.probes + 1, probe_at=now + backoff(state.probes + 1))
    if failures >= OPENS_AFTER and others > 1:
        return replace(failed, opened_at=now, probes=0, probe_at=now + backoff(0))
    return failed
