"""What an outcome means for its delivery and its lane. Plain values, no database, no clock."""

from dataclasses import dataclass
from datetime import timedelta

from .retry import LONGEST_RETRY_AFTER, Schedule
from .transports.base import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The new state of a delivery, and what its lane and channel do."""

    status: str
    hold_cause: str = ""
    wait: timedelta | None = None  # until it is due again
    spends_attempt: bool = True
    lane_goes_on: bool = False
    pause_reason: str = ""  # set: pause the endpoint or profile
    channel_wait: timedelta | None = None  # the receiver asked everything to wait


def decide(
    outcome: Outcome,
    *,
    attempts: int,
    in_lane: bool,
    skips_failures: bool,
    schedule: Schedule,
    jitter: float,
) -> Decision:
    """Decide what follows from the outcome of attempt number `attempts` (1 for the first)."""
    match outcome.verdict:
        case Verdict.DELIVERED:
            return Decision(status="delivered", lane_goes_on=True)
        case Verdict.BLOCKED:
            reason = outcome.detail or outcome.error_class
            return Decision(status="retrying", wait=timedelta(0), spends_attempt=False, pause_reason=reason)
        case Verdict.REJECTED:
            return _give_up("refused", in_lane=in_lane, skips_failures=skips_failures)
    wait = schedule.wait(attempts, jitter=jitter, retry_after=outcome.retry_after)
    if wait is None:
        return _give_up("exhausted", in_lane=in_lane, skips_failures=skips_failures)
    asked = outcome.retry_after
    return Decision(
        status="retrying", wait=wait, channel_wait=min(asked, LONGEST_RETRY_AFTER) if asked else None
    )


def unrenderable() -> Decision:
    """Hold a delivery whose text cannot be made: nothing was tried, a person mends it and retries."""
    return Decision(status="held", hold_cause="rendering", spends_attempt=False)


def _give_up(cause: str, *, in_lane: bool, skips_failures: bool) -> Decision:
    if in_lane and not skips_failures:
        return Decision(status="held", hold_cause=cause)
    return Decision(status="dead", lane_goes_on=True)
