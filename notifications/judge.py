"""What an outcome means for its delivery and its lane. Plain values, no database, no clock."""

from datetime import timedelta

import msgspec

from .retry import Schedule
from .transports.base import LONGEST_RETRY_AFTER, Outcome, Verdict


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The new state of a delivery, and what its lane and channel do."""

    status: str
    hold_cause: str = ""
    wait: timedelta | None = None  # until it is due again
    spends_attempt: bool = True
    lane_goes_on: bool = False
    pause_reason: str = ""  # set: pause the endpoint or profile
    channel_wait: timedelta | None = None  # the receiver asked everything to wait


def decide(  # noqa: PLR0911 - a decision list
    outcome: Outcome,
    *,
    attempts: int,
    in_lane: bool,
    skips_failures: bool,
    schedule: Schedule,
    jitter: float,
    is_failed_probe: bool = False,
    holds_unknown: bool = False,
) -> Decision:
    """Decide what follows from the outcome of attempt number `attempts` (1 for the first).

    While a circuit is open the schedule stands still: a probe that fails spends no attempt.
    """
    match outcome.verdict:
        case Verdict.DELIVERED:
            return Decision(status="delivered", lane_goes_on=True)
        case Verdict.BLOCKED:
            reason = outcome.detail or outcome.error_class
            return Decision(status="retrying", wait=timedelta(0), spends_attempt=False, pause_reason=reason)
        case Verdict.REJECTED:
            return _give_up("refused", in_lane=in_lane, skips_failures=skips_failures)
        case Verdict.UNKNOWN if holds_unknown:
            return Decision(status="held", hold_cause="unknown")
    if is_failed_probe:
        return Decision(
            status="retrying", wait=timedelta(0), spends_attempt=False, channel_wait=_asked(outcome)
        )
    wait = schedule.wait(attempts, jitter=jitter, retry_after=outcome.retry_after)
    if wait is None:
        return _give_up("exhausted", in_lane=in_lane, skips_failures=skips_failures)
    return Decision(status="retrying", wait=wait, channel_wait=_asked(outcome))


def parked() -> Decision:
    """Hold a delivery whose queue or subscription is paused, until that goes on."""
    return Decision(status="held", hold_cause="paused", spends_attempt=False)


def unrenderable() -> Decision:
    """Hold a delivery whose text cannot be made: nothing was tried, a person mends it and retries."""
    return Decision(status="held", hold_cause="rendering", spends_attempt=False)


def _asked(outcome: Outcome) -> timedelta | None:
    return min(outcome.retry_after, LONGEST_RETRY_AFTER) if outcome.retry_after else None


def _give_up(cause: str, *, in_lane: bool, skips_failures: bool) -> Decision:
    if in_lane and not skips_failures:
        return Decision(status="held", hold_cause=cause)
    return Decision(status="dead", lane_goes_on=True)
