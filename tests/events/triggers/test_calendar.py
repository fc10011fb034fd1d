"""Schedules and dates: across daylight saving, hours late, moved, withdrawn, once."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from events import catalog, catalog_cache
from events.models import AnchorEntry, Event, LedgerEntry, ScheduledFiring, Trigger
from events.objects import delete, report
from events.publish import publish
from events.triggers import anchors, edit, evaluate_inbox, prepare
from events.triggers.due import due_at

from .conftest import Rules, fired, outcomes


@pytest.mark.parametrize(
    ("zone", "day", "at", "expected"),
    [
        # spring: the clock skips the hour; the next minute that exists
        ("America/Toronto", date(2026, 3, 8), "02:30", "2026-03-08T07:00"),
        ("Europe/Berlin", date(2026, 3, 29), "02:30", "2026-03-29T01:00"),
        ("Australia/Lord_Howe", date(2026, 10, 4), "02:15", "2026-10-03T15:30"),  # half an hour
        # autumn: the clock shows the hour twice; the first time, once
        ("America/Toronto", date(2026, 11, 1), "01:30", "2026-11-01T05:30"),
        ("Europe/Berlin", date(2026, 10, 25), "02:30", "2026-10-25T00:30"),
        ("Australia/Lord_Howe", date(2026, 4, 5), "01:45", "2026-04-04T14:45"),
        # the wall clock's time stays, whatever the offset
        ("America/Toronto", date(2026, 3, 7), "09:00", "2026-03-07T14:00"),
        ("America/Toronto", date(2026, 3, 9), "09:00", "2026-03-09T13:00"),
        ("Europe/Berlin", date(2026, 10, 26), "09:00", "2026-10-26T08:00"),
        # a day that never was
        ("Pacific/Apia", date(2011, 12, 30), "09:00", "2011-12-30T10:00"),
    ],
)
def test_x_days_later_at_t_across_daylight_saving(zone: str, day: date, at: str, expected: str) -> None:
    due = due_at(day - timedelta(days=5), 5, time.fromisoformat(at), ZoneInfo(zone))
    assert f"{due:%Y-%m-%dT%H:%M}" == expected


def deliver(number: str = "INV-1", at: str = "2026-11-22T14:05:31Z", zone: str = "America/Toronto") -> None:
    data = catalog.sample(catalog.BY_CODE["invoice.delivered"])
    data["invoice"] |= {"id": number, "number": number}
    data["delivery"]["delivered_at"] = at
    data["account"]["timezone"] = zone
    publish("invoice.delivered", data)


def row() -> ScheduledFiring:
    return ScheduledFiring.objects.get()


def test_an_anchor_writes_a_row_that_fires_once_at_its_time(rules: Rules, clock: Any) -> None:
    trigger = rules("schedule")
    deliver()
    evaluate_inbox()
    assert (row().status, row().due_at) == ("pending", datetime(2026, 11, 27, 14, 0, tzinfo=UTC))
    assert not fired("invoice.delivery_offset")
    clock.move_to("2026-11-27T14:00:00Z")
    assert evaluate_inbox() == 1
    assert evaluate_inbox() == 0
    [event] = fired("invoice.delivery_offset")
    data = json.loads(event.data)
    assert data["offset"] == {
        "days": 5, "time": "09:00", "timezone": "America/Toronto", "due_at": "2026-11-27T14:00:00Z",
        "label": "5 days after delivery",
    }  # fmt: skip
    assert (data["invoice"]["number"], data["delivery"]["method"]) == ("INV-1", "email")
    assert (row().status, event.source) == ("fired", "schedule")
    assert outcomes(trigger) == ["scheduled", "fired"]


def test_a_row_found_hours_late_fires_once_and_says_how_late(rules: Rules, clock: Any) -> None:
    rules("schedule")
    deliver()
    evaluate_inbox()
    clock.move_to("2026-11-27T17:20:00Z")
    evaluate_inbox()
    evaluate_inbox()
    assert len(fired("invoice.delivery_offset")) == 1
    assert (row().reason, row().late_by) == ("3 h 20 min late", timedelta(hours=3, minutes=20))
    assert LedgerEntry.objects.latest("id").detail == "Due at 2026-11-27 14:00 UTC, 3 h 20 min late."


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"offset_days": 2}, "2026-11-24T14:00"),
        ({"at_time": time(17, 30)}, "2026-11-27T22:30"),
        ({"timezone": "Europe/Berlin"}, "2026-11-27T08:00"),
    ],
)
def test_another_x_t_or_zone_moves_what_waits(rules: Rules, clock: Any, change: Any, expected: str) -> None:
    trigger = rules("schedule")
    deliver()
    evaluate_inbox()
    for name, value in change.items():
        setattr(trigger, name, value)
    trigger.schedule_version += 1
    trigger.save()
    evaluate_inbox()
    assert f"{row().due_at:%Y-%m-%dT%H:%M}" == expected


def test_conditions_are_looked_at_again_at_firing(rules: Rules, clock: Any) -> None:
    trigger = rules("schedule", [("invoice.balance", "gt", "0")])
    report("invoice", "INV-1", {"balance": "249.00", "account": {"id": "1001"}})
    report("invoice", "INV-2", {"balance": "249.00", "account": {"id": "1001"}})
    deliver()
    deliver("INV-2")
    evaluate_inbox()
    report("invoice", "INV-1", {"balance": "0.00", "account": {"id": "1001"}})
    clock.move_to("2026-11-27T14:00:00Z")
    evaluate_inbox()
    [event] = fired("invoice.delivery_offset")
    data = json.loads(event.data)
    assert (data["invoice"]["number"], data["invoice"]["is_paid"]) == ("INV-2", False)
    assert sorted(ScheduledFiring.objects.values_list("external_id", "status")) == [
        ("INV-1", "not_met"), ("INV-2", "fired"),
    ]  # fmt: skip
    why = LedgerEntry.objects.get(trigger=trigger, outcome="not_met", external_id="INV-1")
    assert why.detail == "invoice.balance is over 0: not met, it is 0.00."


@pytest.mark.parametrize(
    ("numbers", "paths", "left"),
    [
        (["INV-1"], ("invoice.number", "payment.invoice_numbers"), {"INV-2"}),
        (["INV-9"], ("invoice.number", "payment.invoice_numbers"), {"INV-1", "INV-2"}),
        ([], ("", ""), set()),
    ],
)
def test_a_payment_withdraws_what_it_pays(
    rules: Rules, types: Any, clock: Any, numbers: list[str], paths: tuple[str, str], left: set[str]
) -> None:
    trigger = rules("schedule")
    own, other = paths
    trigger.cancellations.create(event_type=types["payment.processed"], own_path=own, other_path=other)
    deliver()
    deliver("INV-2")
    evaluate_inbox()
    data = catalog.sample(catalog.BY_CODE["payment.processed"])
    data["payment"]["invoice_numbers"] = numbers
    publish("payment.processed", data)
    evaluate_inbox()
    waiting = ScheduledFiring.objects.filter(status="pending")
    assert {each.external_id for each in waiting} == left
    assert outcomes(trigger).count("cancelled") == 2 - len(left)
    for each in ScheduledFiring.objects.filter(status="cancelled"):
        assert each.reason.startswith("payment.processed came (evt_")


def invoice(balance: str = "249.00", due: str = "2026-12-22", **more: Any) -> None:
    report("account", "1001", {"timezone": "America/Toronto", "currency": "CAD"})
    state = {"number": "INV-1", "balance": balance, "due_date": due, "account": {"id": "1001"}, **more}
    report("invoice", "50042", state)


OVERDUE = [("balance", "gt", "0")]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([({}, "2026-12-23T04:59:00Z")], 0),  # still the 22nd in Toronto
        ([({}, "2026-12-23T05:00:00Z")], 1),
        ([({}, "2026-12-23T05:00:00Z"), ({"note": 1}, "2026-12-24T05:00:00Z")], 1),
        (
            [({}, "2026-12-23T05:00:00Z"), ({"due": "2027-01-22"}, "2027-01-24T05:00:00Z")],
            1,
        ),  # once an invoice
        ([({"balance": "0.00"}, "2026-12-23T05:00:00Z")], 0),
        ([({}, "2026-12-01T05:00:00Z"), ({"balance": "0"}, "2026-12-23T05:00:00Z")], 0),
        (
            [({"balance": "0"}, "2026-12-01T05:00:00Z"), ({}, "2026-12-23T05:00:00Z")],
            1,
        ),  # the payment bounced
        ([({}, "2026-12-01T05:00:00Z"), ({"due": "2027-01-22"}, "2026-12-23T05:00:00Z")], 0),  # extended
        ([({"due": "soon"}, "2026-12-23T05:00:00Z")], 0),
        ([({"due": "2026-10-01"}, "2026-12-23T05:00:00Z")], 0),  # over before the rule began
    ],
)
def test_an_invoice_is_overdue_once_its_due_date_passed_where_the_account_is(
    rules: Rules, clock: Any, steps: Any, expected: int
) -> None:
    rules("date", OVERDUE)
    for state, moment in steps:
        invoice(**state)
        evaluate_inbox()
        clock.move_to(moment)
        evaluate_inbox()
    assert len(fired("invoice.overdue")) == expected


def test_an_overdue_invoice_tells_for_how_long_and_what_the_account_owes_in_all(
    rules: Rules, clock: Any
) -> None:
    rules("date", OVERDUE, recovery="invoice.overdue_paid")
    invoice()
    other = {"number": "INV-0", "balance": "51.00", "due_date": "2026-11-01", "account": {"id": "1001"}}
    report("invoice", "50041", other)
    evaluate_inbox()
    clock.move_to("2026-12-24T05:00:00Z")
    evaluate_inbox()
    [event] = fired("invoice.overdue")
    data = json.loads(event.data)
    assert (data["invoice"]["days_overdue"], data["overdue"]["since"]) == (2, "2026-12-23")
    assert (data["account"]["total_overdue"], data["account"]["overdue_invoice_count"]) == ("300.00", 2)
    invoice("0.00")
    evaluate_inbox()
    invoice("0.00", note=1)
    evaluate_inbox()
    [event] = fired("invoice.overdue_paid")
    assert json.loads(event.data)["invoice"]["balance"] == "0.00"


def test_a_deleted_invoice_is_withdrawn(rules: Rules, clock: Any) -> None:
    rules("date", OVERDUE)
    invoice()
    evaluate_inbox()
    delete("invoice", "50042")
    evaluate_inbox()
    assert (row().status, row().reason) == ("cancelled", "The object was deleted.")


def test_what_a_person_withdrew_stays_so_until_the_date_is_another(rules: Rules, clock: Any) -> None:
    rules("date", OVERDUE)
    invoice()
    evaluate_inbox()
    ScheduledFiring.objects.update(status="cancelled", is_by_hand=True, settled_at=datetime.now(UTC))
    invoice(note=1)
    evaluate_inbox()
    assert row().status == "cancelled"
    invoice(due="2027-01-22")
    evaluate_inbox()
    assert (row().status, row().is_by_hand) == ("pending", False)


def test_what_was_there_before_the_rule_is_entered_when_it_is_activated(rules: Rules, clock: Any) -> None:
    invoice()
    evaluate_inbox()
    trigger = rules("date", OVERDUE)
    assert prepare.waits()
    prepare.prepare(budget=10)
    trigger.refresh_from_db()
    assert (row().status, trigger.prepared_at is not None, prepare.waits()) == ("pending", True, False)


def contract(
    first: str, second: str, start: str = "2026-11-01", end: str = "2026-11-30", **more: Any
) -> None:
    tiers = [
        {"number": 1, "name": "One", "committed": "500.00", "actual": first, "unit": "CAD"},
        {"number": 2, "name": "Two", "committed": "1000.00", "actual": second, "unit": "CAD"},
    ]
    state = {
        "name": "IoT", "account": {"id": "1001"}, "tiers": tiers,
        "commitment": {"type": "amount", "period_start": start, "period_end": end}, **more,
    }  # fmt: skip
    report("contract", "600", state)


def test_a_commitment_that_closes_short_is_told_once_a_tier_and_period(rules: Rules, clock: Any) -> None:
    rules("commitment", recovery="contract.commitment_reached")
    contract("640.00", "640.00")
    evaluate_inbox()
    assert not fired()
    clock.move_to("2026-12-01T00:00:00Z")
    evaluate_inbox()
    contract("640.00", "650.00")
    evaluate_inbox()
    [event] = fired("contract.under_committed")
    data = json.loads(event.data)
    assert data["tier"] == {
        "number": 2, "name": "Two", "committed": "1000.00", "actual": "640.00", "shortfall": "360.00",
        "shortfall_percent": "36", "unit": "CAD",
    }  # fmt: skip
    assert data["commitment"]["period_start"] == "2026-11-01"
    contract("640.00", "1000.00")  # a late charge: reached after all
    evaluate_inbox()
    [event] = fired("contract.commitment_reached")
    assert json.loads(event.data)["tier"]["number"] == 2
    contract("0", "0", "2026-12-01", "2026-12-31")
    evaluate_inbox()
    clock.move_to("2027-01-01T00:00:00Z")
    evaluate_inbox()
    assert len(fired("contract.under_committed")) == 3


def test_a_period_that_is_replaced_before_its_end_closes_on_its_last_state(rules: Rules, clock: Any) -> None:
    rules("commitment")
    contract("640.00", "700.00")
    contract("0", "0", "2026-12-01", "2026-12-31")
    evaluate_inbox()
    evaluate_inbox()
    [event] = fired("contract.under_committed")
    data = json.loads(event.data)
    assert (data["tier"]["actual"], data["commitment"]["period_start"]) == ("700.00", "2026-11-01")


def test_what_fell_due_while_the_rule_was_off_does_not_fire(rules: Rules, clock: Any) -> None:
    trigger = rules("date", OVERDUE)
    invoice()
    evaluate_inbox()
    edit.deactivate(trigger)
    clock.move_to("2026-12-24T05:00:00Z")
    evaluate_inbox()
    assert row().status == "pending"
    edit.activate(trigger)
    clock.shift(1)
    evaluate_inbox()
    assert (row().status, row().reason) == ("cancelled", "It fell due while the rule was off.")
    assert not fired("invoice.overdue")


def test_what_a_process_published_before_it_heard_of_the_rule_is_found(rules: Rules) -> None:
    trigger = rules("schedule")
    Trigger.objects.update(is_active=False)
    catalog_cache.clear()
    deliver()  # from now on this process believes that no rule waits
    began = Event.objects.get().created_at
    Trigger.objects.filter(pk=trigger.pk).update(is_active=True, active_since=began)
    deliver("INV-2")
    assert AnchorEntry.objects.count() == 0
    with time_machine.travel(began + timedelta(seconds=14)):
        assert anchors.catch_up() == 0
    with time_machine.travel(began + timedelta(seconds=16)):
        assert (anchors.catch_up(), anchors.catch_up()) == (2, 0)
    evaluate_inbox()
    assert set(ScheduledFiring.objects.values_list("external_id", flat=True)) == {"INV-1", "INV-2"}
