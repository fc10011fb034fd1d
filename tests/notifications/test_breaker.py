"""When a circuit opens, probes, closes and gives up, as plain values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications import breaker
from notifications.breaker import Answer, State
from notifications.transports.base import Outcome, Verdict

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def outcome(verdict, **fields):
    return Outcome(verdict=verdict, started_at=NOW, duration=timedelta(seconds=1), **fields)


def bad(delivery_id, **fields):
    return Answer(delivery_id=delivery_id, is_good=False, **fields)


def good(delivery_id):
    return Answer(delivery_id=delivery_id, is_good=True)


def opened():
    return breaker.after(State(), [bad(1), bad(2), bad(3), bad(4), bad(5)], now=NOW)


@pytest.mark.parametrize(
    ("ids", "is_open"),
    [([1, 2, 3, 4], False), ([1, 1, 1, 1, 2], True), ([1] * 50, False), ([1, 2, 1, 2, 1], True)],
)
def test_five_failures_in_a_row_of_two_deliveries_open_it(ids, is_open):
    assert breaker.after(State(), [bad(one) for one in ids], now=NOW).is_open is is_open


def test_a_second_delivery_that_fails_after_one_that_failed_alone_opens_it():
    alone = breaker.after(State(), [bad(1)] * 9, now=NOW)

    assert not alone.is_open
    assert breaker.after(alone, [bad(2)], now=NOW).is_open


def test_it_opens_with_a_first_probe_after_five_seconds():
    state = opened()

    assert (state.opened_at, state.probes, state.failing_since) == (NOW, 0, NOW)
    assert breaker.rest(state, now=NOW, crowd=timedelta(0)) == NOW + timedelta(seconds=5)


def test_failed_probes_back_off_from_five_seconds_to_five_minutes():
    state, waits = opened(), []
    for _ in range(8):
        state = breaker.after(state, [bad(1, is_probe=True)], now=NOW)
        waits.append((state.probe_at - NOW).total_seconds())

    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


def test_what_was_under_way_when_it_opened_is_no_failed_probe():
    state = breaker.after(State(), [bad(one) for one in range(64)], now=NOW)

    assert (state.failures, state.probes) == (64, 0)
    assert state.probe_at == NOW + timedelta(seconds=5)


def test_a_success_closes_it_and_forgets_every_failure():
    later = NOW + timedelta(minutes=1)

    assert breaker.after(opened(), [good(9)], now=later) == State(closed_at=later)


def test_a_success_of_an_ailing_one_resets_it_without_a_slow_start():
    assert breaker.after(State(), [bad(1), bad(2), good(3)], now=NOW) == State()


@pytest.mark.parametrize(("days", "hours", "is_lost"), [(4, 23, False), (5, 0, True), (6, 0, True)])
def test_it_is_given_up_five_days_after_it_opened(days, hours, is_lost):
    state = breaker.after(opened(), [bad(1, is_probe=True)], now=NOW + timedelta(days=3))

    assert breaker.is_lost_cause(state, now=NOW + timedelta(days=days, hours=hours)) is is_lost


def test_two_failures_with_a_silent_week_between_them_are_no_lost_cause():
    state = breaker.after(State(), [bad(1)], now=NOW)
    week = NOW + timedelta(days=7)
    state = breaker.after(state, [bad(2)], now=week)

    assert not breaker.is_lost_cause(state, now=week)


MESSAGE_ONLY = [
    outcome(Verdict.RETRY, status_code=400, error_class="http_4xx"),
    outcome(Verdict.RETRY, status_code=409, error_class="http_4xx"),
    outcome(Verdict.RETRY, status_code=413, error_class="http_4xx"),
    outcome(Verdict.RETRY, status_code=415, error_class="http_4xx"),
    outcome(Verdict.RETRY, status_code=422, error_class="http_4xx"),
    outcome(Verdict.RETRY, status_code=450, error_class="smtp_4xx"),
    outcome(Verdict.REJECTED, status_code=550, error_class="recipient"),
]


@pytest.mark.parametrize("one", MESSAGE_ONLY)
def test_what_speaks_of_the_message_says_nothing_of_the_destination(one):
    assert breaker.answer(one, 7) is None


@pytest.mark.parametrize("one", MESSAGE_ONLY)
def test_what_speaks_of_the_message_tells_a_probe_that_somebody_answers(one):
    assert breaker.answer(one, 7, is_probe=True) == Answer(delivery_id=7, is_good=True, is_probe=True)


@pytest.mark.parametrize(
    ("one", "timed_out"),
    [
        (outcome(Verdict.RETRY, status_code=500, error_class="http_5xx", detail="x"), False),
        (outcome(Verdict.RETRY, status_code=404, error_class="http_4xx", detail="x"), False),
        (outcome(Verdict.RETRY, status_code=429, error_class="http_4xx", detail="x"), False),
        (outcome(Verdict.RETRY, status_code=421, error_class="smtp_4xx", detail="x"), False),
        (outcome(Verdict.RETRY, error_class="connect", detail="x"), False),
        (outcome(Verdict.UNKNOWN, error_class="timeout", detail="x"), True),
    ],
)
def test_other_failures_count_against_the_destination(one, timed_out):
    assert breaker.answer(one, 7) == bad(7, timed_out=timed_out, detail="x")


def test_a_receiver_that_asks_for_time_is_not_failing_unless_it_answers_a_probe_so():
    asks = outcome(Verdict.RETRY, status_code=503, retry_after=timedelta(seconds=9), detail="x")

    assert breaker.answer(asks, 7) is None
    assert breaker.answer(asks, 7, is_probe=True) == bad(7, is_probe=True, detail="x")


@pytest.mark.parametrize("is_probe", [False, True])
def test_a_fault_of_our_own_configuration_says_nothing_even_to_a_probe(is_probe):
    assert breaker.answer(outcome(Verdict.BLOCKED), 7, is_probe=is_probe) is None


@pytest.mark.parametrize(("timeouts", "seconds"), [(1, None), (2, 5), (3, 10), (4, 20)])
def test_from_the_second_time_out_in_a_row_it_rests(timeouts, seconds):
    state = breaker.after(State(), [bad(1, timed_out=True)] * timeouts, now=NOW)
    until = breaker.rest(state, now=NOW, crowd=timedelta(0))

    assert until == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_a_failure_that_answers_ends_the_row_of_time_outs():
    state = breaker.after(State(), [bad(1, timed_out=True), bad(1)], now=NOW)

    assert state.timeouts == 0
    assert breaker.rest(state, now=NOW, crowd=timedelta(minutes=9)) is None


def test_in_a_crowd_of_hanging_receivers_each_rests_longer_from_the_first_time_out():
    crowd = timedelta(seconds=40)
    once = breaker.after(State(), [bad(1, timed_out=True)], now=NOW)
    hangs = breaker.after(State(), [bad(one, timed_out=True) for one in range(5)], now=NOW)

    assert breaker.rest(once, now=NOW, crowd=crowd) == NOW + crowd
    assert breaker.rest(hangs, now=NOW, crowd=crowd) == NOW + crowd
    assert breaker.rest(opened(), now=NOW, crowd=crowd) == NOW + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("seconds", "most"),
    [(None, 8), (0, 1), (4.99, 1), (5, 2), (9.99, 2), (10, 4), (15, 8), (20, 8), (51, 8), (-3, 1)],
)
def test_after_it_closed_what_may_be_in_flight_doubles_every_five_seconds(seconds, most):
    assert breaker.slow_start(8, seconds) == most


answers = st.builds(
    Answer,
    delivery_id=st.integers(1, 4),
    is_good=st.booleans(),
    is_probe=st.booleans(),
    timed_out=st.booleans(),
)


@given(st.lists(st.lists(answers, max_size=6), max_size=12))
def test_whatever_is_answered_the_state_stays_one_that_the_table_allows(batches):
    state, now = State(), NOW
    for batch in batches:
        now += timedelta(seconds=7)
        state = breaker.after(state, batch, now=now)
        assert (state.opened_at is None) == (state.probe_at is None)
        assert state.failed_deliveries <= state.failures
        assert state.timeouts <= state.failures
        assert (state.failing_since is None) == (state.failures == 0)
        if state.is_open:
            assert timedelta(0) < state.probe_at - state.opened_at
            assert state.probe_at - now <= breaker.LONGEST_PAUSE
        if batch and batch[-1].is_good:
            assert state == State(closed_at=state.closed_at)


@given(st.lists(answers, max_size=20), st.integers(0, 20))
def test_it_makes_no_difference_where_a_batch_is_cut(batch, cut):
    whole = breaker.after(State(), batch, now=NOW)

    assert breaker.after(breaker.after(State(), batch[:cut], now=NOW), batch[cut:], now=NOW) == whole


@given(st.lists(answers, max_size=20), st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_only_what_failed_rests_and_never_in_the_past(batch, crowd):
    state = breaker.after(State(), batch, now=NOW)
    until = breaker.rest(state, now=NOW, crowd=crowd)

    assert until is None or until > NOW
    assert until is None or state.failures


@given(st.integers(1, 64), st.floats(0, 1_000))
def test_a_slow_start_never_exceeds_the_limit_and_always_lets_one_through(limit, seconds):
    assert 1 <= breaker.slow_start(limit, seconds) <= limit
    assert breaker.slow_start(limit, seconds) <= breaker.slow_start(limit, seconds + 5)
