"""The oracle finds every kind of violation; a judge that never condemns proves nothing."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.ledger import Line
from tests.faults.oracle import Findings, judge
from tests.faults.records import Record, Records, Try

OK = Try(verdict="delivered", status_code=204)
CRASHED = Try(verdict="crashed")
TIMED_OUT = Try(verdict="unknown")
EVENTS = ["evt_1", "evt_2", "evt_3"]


def record(number: int, **changes) -> Record:
    values: dict[str, Any] = {
        "public_id": f"dlv_{number}",
        "event_id": f"evt_{number}",
        "status": "delivered",
        "lane": 1,
        "sequence": number,
        "tries": (OK,),
    }
    return Record(**values | changes)


def line(arrival: int, number: int, **changes) -> Line:
    values: dict[str, Any] = {
        "number": arrival,
        "webhook_id": f"dlv_{number}",
        "event_id": f"evt_{number}",
        "host": "receiver.example.test",
        "path": "/hook",
        "lane": "1:account:7",
        "sequence": number,
        "answer": "204",
        "arrived": float(arrival),
        "answered": float(arrival),
    }
    return Line(**values | changes)


RECORDS = {1: record(1), 2: record(2), 3: record(3)}
LEDGER = [line(1, 1), line(2, 2), line(3, 3)]


def judged(ledger=LEDGER, records=RECORDS, *, waiting=(), published=EVENTS, **options) -> Findings:
    found = Records(
        deliveries={one.public_id: one for one in records.values()}, waiting_events=frozenset(waiting)
    )
    return judge(ledger, found, published=published, **options)


def counts(findings: Findings) -> dict[str, int]:
    kinds = ("lost", "out_of_order", "forbidden", "stuck", "unexplained")
    return {kind: len(getattr(findings, kind)) for kind in kinds if getattr(findings, kind)}


def test_a_faultless_run_is_clean():
    findings = judged()
    assert findings.is_clean
    assert str(findings) == (
        "3 arrivals, lost 0, out of order 0, duplicates 0 (0 not allowed), stuck 0, unexplained 0"
    )


def test_a_delivery_without_a_lane_may_arrive_in_any_order():
    records = {key: replace(one, lane=None, sequence=None) for key, one in RECORDS.items()}
    ledger = [line(1, 3), line(2, 1), line(3, 2)]
    assert judged([replace(one, lane="", sequence=None) for one in ledger], records).is_clean


def test_an_event_that_became_no_delivery_is_lost():
    assert counts(judged(published=[*EVENTS, "evt_4"])) == {"lost": 1}
    assert judged(published=[*EVENTS, "evt_4"], waiting=["evt_4"]).is_clean


def test_an_event_that_became_too_few_deliveries_is_lost():
    assert counts(judged(deliveries_each=2)) == {"lost": 3}


def test_a_gap_in_the_numbers_of_a_lane_is_a_loss():
    records = {1: RECORDS[1], 3: RECORDS[3]}
    assert "lost" in counts(judged([LEDGER[0], LEDGER[2]], records, published=["evt_1", "evt_3"]))


def test_what_is_called_delivered_and_never_arrived_is_lost_and_its_attempt_unexplained():
    assert counts(judged(LEDGER[:2])) == {"lost": 1, "unexplained": 1}


def test_what_is_called_delivered_and_was_only_refused_is_lost():
    ledger = [*LEDGER[:2], replace(LEDGER[2], answer="500")]
    assert counts(judged(ledger)) == {"lost": 1, "unexplained": 2}


def test_a_later_number_that_arrives_first_is_out_of_order():
    assert counts(judged([line(1, 2), line(2, 1), line(3, 3)])) == {"out_of_order": 1}


def test_a_number_that_arrives_before_the_one_ahead_was_answered_is_out_of_order():
    ledger = [line(1, 1, answered=2.5), *LEDGER[1:]]
    assert counts(judged(ledger)) == {"out_of_order": 1}


def test_a_number_that_overtakes_a_refused_one_is_out_of_order():
    failed = Try(verdict="retry", status_code=500)
    records = RECORDS | {1: record(1, tries=(failed, OK))}
    ledger = [line(1, 1, answer="500"), line(2, 2), line(3, 1), line(4, 3)]
    assert counts(judged(ledger, records)) == {"out_of_order": 1}
    ledger = [line(1, 1, answer="500"), line(2, 1), line(3, 2), line(4, 3)]
    assert judged(ledger, records).is_clean


@pytest.mark.parametrize("status", ["skipped", "cancelled", "dead"])
def test_what_was_passed_over_holds_up_nothing(status):
    records = RECORDS | {2: record(2, status=status, tries=())}
    assert judged([line(1, 1), line(2, 3)], records).is_clean


def test_a_repeated_arrival_keeps_the_order_of_the_first_ones():
    records = RECORDS | {1: record(1, tries=(CRASHED, OK)), 2: record(2, tries=(CRASHED, OK))}
    ledger = [line(1, 1), line(2, 2), line(3, 1), line(4, 2), line(5, 3)]
    findings = judged(ledger, records)
    assert findings.is_clean
    assert findings.duplicates == 2


@pytest.mark.parametrize("reason", [CRASHED, TIMED_OUT])
def test_a_duplicate_needs_a_reason_of_its_own(reason):
    ledger = [line(1, 1), line(2, 1), *[line(n + 1, n) for n in (2, 3)]]
    assert judged(ledger, RECORDS | {1: record(1, tries=(reason, OK))}).is_clean
    assert counts(judged(ledger)) == {"forbidden": 1, "unexplained": 1}
    assert counts(judged(ledger, may_repeat=["dlv_1"])) == {"unexplained": 1}
    twice = [line(1, 1), line(2, 1), line(3, 1), *[line(n + 2, n) for n in (2, 3)]]
    findings = judged(twice, RECORDS | {1: record(1, tries=(reason, OK))})
    assert counts(findings) == {"forbidden": 1, "unexplained": 1}
    assert findings.duplicates == 2


def test_a_duplicate_whose_every_send_is_logged_as_delivered_is_still_forbidden():
    ledger = [line(1, 1), line(2, 1), *[line(n + 1, n) for n in (2, 3)]]
    assert counts(judged(ledger, RECORDS | {1: record(1, tries=(OK, OK))})) == {"forbidden": 1}


def test_a_late_attempt_excuses_no_duplicate():
    late = replace(TIMED_OUT, is_fenced=True)
    ledger = [line(1, 1), line(2, 1), *[line(n + 1, n) for n in (2, 3)]]
    assert counts(judged(ledger, RECORDS | {1: record(1, tries=(OK, late))})) == {"forbidden": 1}


def test_a_retry_after_a_refusal_is_no_duplicate():
    records = RECORDS | {1: record(1, tries=(Try(verdict="retry", status_code=503), OK))}
    findings = judged([line(1, 1, answer="503"), *[line(n + 1, n) for n in (1, 2, 3)]], records)
    assert findings.is_clean
    assert findings.duplicates == 0


@pytest.mark.parametrize("status", ["pending", "retrying", "held"])
def test_what_is_unfinished_and_nobody_will_look_at_is_stuck(status):
    records = RECORDS | {3: record(3, status=status, tries=())}
    assert counts(judged(LEDGER[:2], records)) == {"stuck": 1}
    due = RECORDS | {3: record(3, status=status, tries=(), is_due=True)}
    assert judged(LEDGER[:2], due).is_clean


def test_what_is_held_for_a_named_cause_is_not_stuck():
    records = RECORDS | {3: record(3, status="held", hold_cause="operator", tries=())}
    assert judged(LEDGER[:2], records).is_clean


def test_an_arrival_without_an_attempt_is_unexplained():
    records = RECORDS | {3: record(3, status="retrying", is_due=True, tries=())}
    assert counts(judged(records=records)) == {"unexplained": 1}
    in_flight = RECORDS | {3: record(3, status="retrying", is_in_flight=True, tries=())}
    assert judged(records=in_flight).is_clean


def test_an_attempt_with_an_answer_that_was_not_given_is_unexplained():
    records = RECORDS | {3: record(3, tries=(Try(verdict="retry", status_code=500), OK))}
    assert counts(judged(records=records)) == {"unexplained": 1}


def test_the_same_attempt_written_twice_is_unexplained():
    assert counts(judged(records=RECORDS | {3: record(3, tries=(OK, OK))})) == {"unexplained": 1}


def test_a_misbehaviour_explains_an_attempt_with_any_status_once():
    drip = Try(verdict="unknown", status_code=200)
    ledger = [line(1, 1, answer="drip_body"), *[line(n + 1, n) for n in (1, 2, 3)]]
    assert judged(ledger, RECORDS | {1: record(1, tries=(drip, OK))}).is_clean
    assert counts(judged(ledger, RECORDS | {1: record(1, tries=(drip, drip, OK))})) == {"unexplained": 1}
    assert counts(judged(ledger)) == {"unexplained": 1}


def test_an_arrival_that_nobody_knows_is_unexplained():
    assert counts(judged([*LEDGER, line(4, 9, sequence=4)])) == {"unexplained": 1}
    assert counts(judged(published=EVENTS[:2])) == {"unexplained": 1}


def test_an_arrival_under_another_number_or_event_is_unexplained():
    assert "unexplained" in counts(judged([*LEDGER[:2], line(3, 3, sequence=4)]))
    assert counts(judged([*LEDGER[:2], line(3, 3, event_id="evt_1")])) == {"unexplained": 1}
