"""When a delivery is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.judge import decide
from notifications.retry import SCHEDULE, Schedule
from notifications.transports.base import Outcome, Verdict


def outcome(verdict, **changes):
    return Outcome(verdict=verdict, started_at=datetime.now(UTC), duration=timedelta(0), **changes)


def decided(verdict, *, attempts=1, in_lane=True, skips_failures=False, **changes):
    return decide(
        outcome(verdict, **changes), attempts=attempts, in_lane=in_lane, skips_failures=skips_failures,
        schedule=Schedule(), jitter=0.0,
    )  # fmt: skip


def test_the_standard_schedule_has_ten_attempts_in_75_hours_and_35_minutes():
    assert len(SCHEDULE) == 10
    assert sum(SCHEDULE, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


@given(
    attempts=st.integers(1, 9),
    jitter=st.floats(0, 1),
    asked=st.none() | st.timedeltas(timedelta(0), timedelta(9)),
)
def test_no_attempt_comes_before_its_time(attempts, jitter, asked):
    wait = Schedule().wait(attempts, jitter=jitter, retry_after=asked)
    planned = SCHEDULE[attempts]
    assert wait is not None
    assert planned <= wait <= max(planned * 1.1 + timedelta(microseconds=1), timedelta(hours=24))
    assert wait >= min(asked or timedelta(0), timedelta(hours=24))


def test_the_schedule_ends_after_its_last_attempt():
    assert Schedule().wait(10, jitter=0.0) is None
    assert Schedule.of([1, 2]).wait(2, jitter=0.0) == timedelta(seconds=2)
    assert Schedule.of([1, 2]).wait(3, jitter=0.0) is None


@pytest.mark.parametrize(
    ("verdict", "attempts", "in_lane", "skips", "status", "cause", "goes_on"),
    [
        (Verdict.DELIVERED, 1, True, False, "delivered", "", True),
        (Verdict.RETRY, 1, True, False, "retrying", "", False),
        (Verdict.UNKNOWN, 9, True, False, "retrying", "", False),
        (Verdict.RETRY, 10, True, False, "held", "exhausted", False),
        (Verdict.RETRY, 10, True, True, "dead", "", True),
        (Verdict.RETRY, 10, False, False, "dead", "", True),
        (Verdict.REJECTED, 1, True, False, "held", "refused", False),
        (Verdict.REJECTED, 1, False, False, "dead", "", True),
        (Verdict.BLOCKED, 10, True, False, "retrying", "", False),
    ],
)
def test_an_outcome_decides_what_happens_next(verdict, attempts, in_lane, skips, status, cause, goes_on):
    decision = decided(verdict, attempts=attempts, in_lane=in_lane, skips_failures=skips)
    assert (decision.status, decision.hold_cause, decision.lane_goes_on) == (status, cause, goes_on)


def test_a_fault_of_the_channel_pauses_it_and_spends_no_attempt():
    decision = decided(Verdict.BLOCKED, detail="The receiver says 410 Gone.")
    assert decision.pause_reason == "The receiver says 410 Gone."
    assert not decision.spends_attempt


def test_a_wish_to_wait_concerns_the_whole_channel_for_a_day_at_most():
    assert decided(Verdict.RETRY, retry_after=timedelta(days=3)).channel_wait == timedelta(hours=24)
    assert decided(Verdict.RETRY).channel_wait is None
