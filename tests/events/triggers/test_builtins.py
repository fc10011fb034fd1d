"""The triggers that every installation has: all that the catalog derives, from a report to a valid event."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events import catalog, sync
from events.activity import Used, record
from events.models import Event, EventType, Trigger
from events.objects import report
from events.publish import publish
from events.triggers import dormancy, edit, evaluate_inbox

from .conftest import fired

ACCOUNT = {"name": "EXAMPLE-001", "status": "Active", "timezone": "America/Toronto", "currency": "CAD"}
UP = {"account": {"id": "1001"}}
BUCKET = {"name": "100 MB", "unit": "MB", "size": 100, "period_start": "2026-11-01", **UP}
CONTRACT = {
    "name": "IoT", **UP,
    "commitment": {"type": "amount", "period_start": "2026-11-01", "period_end": "2026-11-30"},
    "tiers": [{"number": 1, "committed": "1000.00", "actual": "640.00", "unit": "CAD"}],
}  # fmt: skip
# What is reported, then; and when the clock has gone on, what was published.
DERIVED: list[tuple[str, list[tuple[str, Any]], str, list[str]]] = [
    ("service.state", [("service", {"state": "Active", **UP}), ("service", {"state": "Suspended", **UP})], "",
     ["service.state_transitioned"]),
    ("account.status", [("account", ACCOUNT), ("account", {**ACCOUNT, "status": "Suspended"})], "",
     ["account.status_changed"]),
    ("account.cancelled", [("account", ACCOUNT), ("account", {**ACCOUNT, "status": "Cancelled"})], "",
     ["account.cancelled"]),
    ("invoice.posted", [("invoice", {"number": "INV-1", **UP}), ("invoice", {"number": "INV-1b", **UP})], "",
     ["invoice.posted"]),
    ("package.cancelled", [("package", {"status": "Active", **UP}), ("package", {"status": "Cancelled", **UP})], "",
     ["package.cancelled"]),
    ("package.added", [("package", {"status": "Active", **UP}), ("package", {"status": "Late", **UP})], "",
     ["package.added"]),
    ("bucket.added", [("bucket", {**BUCKET, "used": 1})], "", ["bucket.added"]),
    ("bucket.cancelled", [("bucket", BUCKET), ("bucket", {**BUCKET, "status": "Cancelled"})], "",
     ["bucket.cancelled"]),
    ("service.state_due", [("service", {"state": "Active", "next_state": "Suspended",
                                        "next_state_at": "2026-12-01", **UP})], "2026-12-02T00:00:00Z",
     ["service.state_transitioned"]),
    ("usage.threshold", [("bucket", {**BUCKET, "used": 89}), ("bucket", {**BUCKET, "used": "100.5"})], "",
     ["usage.threshold_exceeded"] * 3),
    ("invoice.overdue", [("invoice", {"balance": "9.00", "due_date": "2026-12-01", **UP})], "2026-12-02T05:00:00Z",
     ["invoice.overdue"]),
    ("contract.under_commit", [("contract", CONTRACT)], "2026-12-01T05:00:00Z", ["contract.under_committed"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "reports", "later", "expected"), DERIVED, ids=[each[0] for each in DERIVED])
def test_what_is_reported_becomes_the_event(
    types: dict[str, EventType], clock: Any, key: str, reports: Any, later: str, expected: list[str]
) -> None:
    edit.activate(Trigger.objects.get(builtin=key))
    report("account", "1001", ACCOUNT)
    for kind, state in reports:
        report(kind, "1001" if kind == "account" else "77", state)
    evaluate_inbox()
    if later:
        clock.move_to(later)
        evaluate_inbox()
    evaluate_inbox()
    assert [event.type.code for event in fired()] == expected
    assert {event.account for event in fired()} == {"1001"}
    for event in fired():
        assert json.loads(event.data)["account"]["id"] == "1001"


def test_a_cancelled_account_changes_status_first(types: dict[str, EventType]) -> None:
    for key in ("account.cancelled", "account.status"):
        edit.activate(Trigger.objects.get(builtin=key))
    report("account", "1001", ACCOUNT)
    report("account", "1001", {**ACCOUNT, "status": "Cancelled"})
    evaluate_inbox()
    assert [event.type.code for event in fired()] == ["account.status_changed", "account.cancelled"]


def test_a_silent_sim_becomes_dormant_and_wakes(types: dict[str, EventType]) -> None:
    edit.activate(Trigger.objects.get(builtin="sim.dormant"))
    report("sim", "8901", {"state": "Active", "activated_on": "2026-01-01", **UP})
    report("sim", "8902", {"state": "Suspended", "activated_on": "2026-01-01", **UP})
    now = datetime.now(UTC)
    record([Used("sim", "usage", name, now - timedelta(days=31)) for name in ("8901", "8902")])
    assert (dormancy.scan_all(), dormancy.scan_all()) == (1, 0)
    record([Used("sim", "usage", "8901", now)])
    assert (dormancy.find_woken(), dormancy.find_woken()) == (1, 0)
    assert [event.type.code for event in fired()] == ["sim.dormant", "sim.woke"]


def test_a_delivered_invoice_becomes_its_offset(types: dict[str, EventType], clock: Any) -> None:
    edit.activate(Trigger.objects.get(builtin="invoice.delivery_offset"))
    publish("invoice.delivered", catalog.sample(catalog.BY_CODE["invoice.delivered"]))
    evaluate_inbox()
    clock.move_to("2026-12-01T00:00:00Z")
    evaluate_inbox()
    assert [event.type.code for event in fired()] == ["invoice.delivered", "invoice.delivery_offset"]


@pytest.mark.parametrize("spec", catalog.SHIPPED, ids=lambda spec: spec.code)
def test_every_one_of_them_can_be_posted(types: dict[str, EventType], spec: Any) -> None:
    assert publish(spec.code, catalog.sample(spec)).created
    assert Event.objects.get().type.code == spec.code


def test_syncing_again_changes_nothing_and_what_was_edited_stays(types: dict[str, EventType]) -> None:
    sync.sync()
    before = list(Trigger.objects.order_by("pk").values())
    assert len(before) == 15
    sync.sync()
    assert list(Trigger.objects.order_by("pk").values()) == before
    for row in Trigger.objects.all():
        edit.activate(row)  # each of them can work
