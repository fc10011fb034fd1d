"""How much one worker starts at a destination, as plain values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.pace import SLOW, Pace, Paces

FAST, LATE = 0.05, SLOW + 0.01


def proven(limit=2, **fields):
    return Pace(is_proven=True, limit=limit, **fields)


def test_an_unproven_destination_gets_one_run_and_after_a_success_two():
    pace = Pace()
    assert (pace.room(), pace.is_fast) == (1, False)

    pace.good(FAST, most=8)

    assert (pace.room(), pace.is_fast) == (2, True)


def test_it_grows_by_one_after_each_full_round_of_fast_answers_up_to_its_limit():
    pace, limits = Pace(), []
    for _ in range(40):
        pace.good(FAST, most=5)
        limits.append(pace.limit)

    assert limits == [2, 2, 3, 3, 3, 4, 4, 4, 4, 5, *[5] * 30]


def test_a_limit_of_one_is_never_exceeded():
    pace = Pace()
    for _ in range(10):
        pace.good(FAST, most=1)

    assert pace.room() == 1


def test_a_slow_answer_brings_it_down_to_two_and_out_of_the_fast_class():
    pace = proven(limit=8)
    pace.good(LATE, most=8)

    assert (pace.limit, pace.is_fast) == (2, False)
    pace.good(FAST, most=8)
    assert pace.is_fast


def test_a_slow_mail_server_keeps_its_limit():
    pace = proven(limit=4, is_patient=True)
    pace.good(LATE, most=4)

    assert pace.limit == 4


def test_a_failure_makes_it_prove_itself_again():
    pace = proven(limit=8, streak=3)
    pace.bad()

    assert (pace.limit, pace.is_proven, pace.streak) == (1, False, 0)


def test_nothing_is_started_where_an_answer_is_waited_for():
    assert proven(limit=8, is_stalled=True).room() == 0


def test_what_is_under_way_takes_its_room_and_never_more():
    assert [proven(limit=2, under_way=runs).room() for runs in range(4)] == [2, 1, 0, 0]


def test_the_worker_counts_what_waits_and_what_is_not_known_to_be_fast():
    paces = Paces()
    for number, (is_proven, is_slow, is_stalled, runs) in enumerate(
        [
            (True, False, False, 5),
            (True, False, True, 3),
            (True, True, False, 10),
            (True, True, True, 20),
            (False, False, False, 1),
            (False, False, True, 1),
        ]
    ):
        pace = paces.of((number, None))
        pace.is_proven, pace.is_slow, pace.is_stalled = is_proven, is_slow, is_stalled
        pace.under_way = runs

    assert (paces.waiting(), paces.careful(), paces.stalled()) == (24, 32, 3)


@pytest.mark.parametrize(("destination", "is_patient"), [((1, None), False), ((None, 1), True)])
def test_a_destination_has_one_pace_and_mail_is_patient(destination, is_patient):
    paces = Paces()

    assert paces.of(destination) is paces.of(destination)
    assert paces.of(destination).is_patient is is_patient


sends = st.lists(st.one_of(st.none(), st.floats(0, 2)), max_size=60)


@given(sends, st.integers(1, 64), st.booleans())
def test_whatever_is_answered_it_keeps_to_its_limit_and_never_stands_still(seconds, most, is_patient):
    pace = Pace(is_patient=is_patient)
    for one in seconds:
        if one is None:
            pace.bad()
        else:
            pace.good(one, most=most)
        assert 1 <= pace.limit <= most
        assert pace.streak < pace.limit or pace.limit == most
        assert pace.is_proven == (one is not None)


@given(st.integers(1, 64), st.integers(1, 64))
def test_a_limit_that_was_lowered_holds_from_the_next_answer_on(before, after):
    pace = proven(limit=before)
    pace.good(FAST, most=after)

    assert pace.limit <= after
