"""Configuring, trying, activating and explaining a rule in the console, as a new administrator does."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from events import sync
from events.admin import trigger_test
from events.models import BackTest, BillingObject, EventType, LedgerEntry, ScheduledFiring, Trigger
from events.triggers import evaluate_inbox, tasks
from notifications.models import AuditEntry
from tests import console_form

from .conftest import Rules, fired
from .test_calendar import deliver
from .test_change import ACCOUNT, report_service

ADD = reverse("admin:events_trigger_add")


@pytest.fixture
def console(client: Client, admin_user: Any, types: dict[str, EventType]) -> Client:
    client.force_login(admin_user)
    return client


def fill(console: Client, **changes: Any) -> dict[str, Any]:
    form = console_form.read(console.get(f"{ADD}?source=change"), "trigger")
    rows = [
        ("state", "from_to", "Active", "Suspended"),
        ("account.currency", "is", "USD", ""),
        ("account.balance", "gt", "1000", ""),
        ("account.is_test", "is_not", "true", ""),
    ]
    form["conditions-TOTAL_FORMS"] = "4"
    for at, (field, operator, value, value_to) in enumerate(rows):
        form |= {
            f"conditions-{at}-field": field, f"conditions-{at}-operator": operator,
            f"conditions-{at}-value": value, f"conditions-{at}-value_to": value_to,
        }  # fmt: skip
    given = {"name": "Rich and suspended", "object_kind": "service", "new_code": "service.suspended_rich"}
    return form | given | changes


def test_an_administrator_configures_tries_activates_and_explains_a_rule(console: Client, types: Any) -> None:
    for state in ("Active", "Suspended"):
        report_service(state, {**ACCOUNT, "balance": Decimal("1250.00")})
    report_service("Active", number="4002")
    report_service("Suspended", {**ACCOUNT, "is_test": True}, number="4002")
    evaluate_inbox()
    response = console.post(ADD, fill(console), follow=True)
    assert "The rule is saved and off. Back-test it, then activate it." in response.text
    trigger = Trigger.objects.get(name="Rich and suspended")
    assert (
        "When a service is updated, so that state changed from Active to Suspended, account.currency is USD, "
        "account.balance is over 1000 and account.is_test is not true, publish service.suspended_rich, "
        "each time that becomes true."
    ) in response.text
    assert trigger.event_type.tokens.filter(name="transition.to_state").exists()
    assert (trigger.is_active, fired()) == (False, [])

    page = reverse("admin:events_trigger_back_test", args=[trigger.pk])
    text = console.post(page, {"days": "30"}, follow=True).text
    assert "<strong>1 time</strong> on <strong>1 account</strong>" in text
    assert "4 stored changes were looked at." in text
    assert "Example 1: service:4001, account 1001" in text
    assert "&quot;balance&quot;: &quot;1250.00&quot;" in text
    assert fired() == []

    response = console.post(reverse("admin:events_trigger_do", args=[trigger.pk, "activate"]), follow=True)
    assert "1 trigger activated." in response.text
    report_service("Active")
    report_service("Suspended")
    report_service("Active", number="4003")
    report_service("Suspended", {**ACCOUNT, "balance": "12.00"}, number="4003")
    evaluate_inbox()
    [event] = fired()
    assert json.loads(event.data)["service"]["id"] == "4001"
    assert "Rich and suspended</a>" in console.get(reverse("admin:events_event_change", args=[event.pk])).text
    ledger = reverse("admin:events_ledgerentry_changelist")
    service = BillingObject.objects.get(kind="service", external_id="4003")
    shown = console.get(reverse("admin:events_billingobject_change", args=[service.pk]))
    assert f'href="{ledger}?q=service%3A4003"' in shown.text
    assert (
        "account.balance is over 1000: not met, it is 12.00." in console.get(f"{ledger}?q=service:4003").text
    )
    why = LedgerEntry.objects.filter(external_id="4003").latest("id")
    assert "12.00" in console.get(reverse("admin:events_ledgerentry_change", args=[why.pk])).text
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"trigger.back_test", "trigger.activate"} <= actions


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"object_kind": ""}, "Choose the kind of object."),
        ({"new_code": "Bad"}, "Write a dotted, lower-case code"),
        ({"new_code": ""}, "Choose the event that is published"),
        ({"new_code": "invoice.posted"}, "There is an event type invoice.posted already"),
        ({"conditions-2-value": "a lot"}, "is no number and no date: write 1000, 2026-11-22 or today - 30."),
        ({"conditions-0-value_to": ""}, "Give the second value too."),
        ({"conditions-1-field": "invoice.currency"}, "A service does not belong to one invoice"),
        ({"conditions-1-field": "acount.currency x"}, "Write a field of the report"),
        ({"on_update": []}, "Choose at least one of created, updated and deleted."),
    ],
)
def test_a_rule_that_could_not_work_is_refused_with_the_remedy(
    console: Client, change: dict[str, Any], fault: str
) -> None:
    form = fill(console, **change)
    before = EventType.objects.count(), Trigger.objects.count()
    text = console.post(ADD, {name: value for name, value in form.items() if value != []}).text
    assert fault in text
    assert (EventType.objects.count(), Trigger.objects.count()) == before


@pytest.mark.parametrize("source", Trigger.Source.values)
def test_a_page_asks_only_for_what_fits_the_source(console: Client, source: str) -> None:
    text = console.get(f"{ADD}?source={source}").text
    assert ('name="idle_days"' in text) == (source == "inactivity")
    assert ('name="value_path"' in text) == (source == "threshold")
    assert ('name="on_create"' in text) == (source == "change")
    assert ('name="offset_days"' in text) == (source in Trigger.OF_CALENDAR)
    assert ('name="anchor"' in text) == (source in Trigger.OF_EVENTS)
    assert ("cancellations-TOTAL_FORMS" in text) == (source == "schedule")


def test_the_source_is_asked_first(console: Client) -> None:
    text = console.get(ADD).text
    for source in Trigger.Source:
        assert f"?source={source.value}" in text


def test_a_payload_that_its_event_type_would_refuse_is_not_saved(console: Client, types: Any) -> None:
    report_service("Active")
    form = fill(console, new_code="", event_type=types["usage.threshold_exceeded"].pk)
    text = console.post(ADD, form).text
    assert "usage.threshold_exceeded would be refused, tried on the newest report of service:4001" in text
    assert "bucket.id is missing" in text
    form |= {"fields-0-path": "bucket.id", "fields-0-source": "object", "fields-0-value": "service.id"}
    assert console.post(ADD, form).status_code == 302


def test_an_edited_built_in_rule_is_never_overwritten(console: Client, types: Any) -> None:
    row = Trigger.objects.get(builtin="sim.dormant")
    url = reverse("admin:events_trigger_change", args=[row.pk])
    form = console_form.read(console.get(url), "trigger", idle_days="45")
    response = console.post(url, form)
    assert response.status_code == 302, response.text
    other = Trigger.objects.get(builtin="usage.threshold")
    Trigger.objects.filter(pk=other.pk).update(position=7)
    sync.sync()
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.idle_days, row.is_edited, row.conditions.count()) == (45, True, 2)
    assert (other.position, other.is_edited) == (100, False)
    assert console.post(reverse("admin:events_trigger_delete", args=[row.pk])).status_code == 403


def test_what_will_fire_is_moved_and_cancelled_with_an_audit(
    console: Client, rules: Rules, clock: Any
) -> None:
    rules("schedule")
    deliver()
    deliver("INV-2")
    evaluate_inbox()
    first, second = ScheduledFiring.objects.order_by("pk")
    url = reverse("admin:events_scheduledfiring_change", args=[first.pk])
    assert "2026-11-27 09:00 America/Toronto" in console.get(url).text
    form = {"due_at_0": "2026-11-30", "due_at_1": "10:00"}
    assert console.post(url, form).status_code == 302
    do = reverse("admin:events_scheduledfiring_do", args=[second.pk, "cancel"])
    assert "1 scheduled firing cancelled." in console.post(do, {"reason": "disputed"}, follow=True).text
    first.refresh_from_db()
    second.refresh_from_db()
    assert (f"{first.due_at:%d %H:%M}", first.is_by_hand) == ("30 10:00", True)
    assert (second.status, second.reason) == ("cancelled", "Cancelled by admin: disputed")
    clock.move_to("2026-12-01T00:00:00Z")
    evaluate_inbox()
    assert len(fired("invoice.delivery_offset")) == 1
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"firing.move", "firing.cancel"}
    search = reverse("admin:events_scheduledfiring_changelist")
    assert "INV-2" in console.get(f"{search}?q=invoice:INV-2").text


def test_a_long_back_test_goes_on_in_the_background_and_can_be_cancelled(
    console: Client, rules: Rules, monkeypatch: Any
) -> None:
    trigger = rules("change", [("state", "is", "Suspended")])
    for state in ("Active", "Suspended"):
        report_service(state)
    monkeypatch.setattr(trigger_test, "AT_ONCE", 0.0)
    page = reverse("admin:events_trigger_back_test", args=[trigger.pk])
    response = console.post(page, {"days": "3"}, follow=True)
    assert ("Cancel the back-test" in response.text, response.headers["Refresh"]) == (True, "2")
    tasks.run_back_test(BackTest.objects.get().pk)
    assert "<strong>1 time</strong>" in console.get(page).text
    console.post(page, {"days": "3"})
    console.post(page, {"cancel": "1"})
    test = BackTest.objects.latest("pk")
    assert test.status == "cancelled"
    tasks.run_back_test(test.pk)
    test.refresh_from_db()
    assert (test.status, test.fired) == ("cancelled", 0)
