"""Values with which a rule cannot work are told in a sentence, and bounds are kept at the door."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events import keys
from events.models import LedgerEntry, ScheduledFiring, Subscriber
from events.objects import report
from events.triggers import evaluate_inbox
from events.triggers.preview import preview
from events.triggers.rules import of

from .conftest import Rules
from .test_change import report_service


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            {"due_date": "9999-12-30", "balance": "5"},
            "due_date is 9999-12-30: 1 days later is outside the years 1970 to 2999. Correct the reported date",
        ),
        ({"due_date": "soon", "balance": "5"}, "due_date is soon, no date."),
        ({"due_date": [1], "balance": "5"}, "no date."),
    ],
)
def test_the_ledger_names_the_field_and_the_remedy(rules: Rules, state: dict[str, Any], said: str) -> None:
    trigger = rules("date", [("balance", "gt", "0")])
    report("invoice", "7", {**state, "account": {"id": "1"}})
    evaluate_inbox()
    [entry] = LedgerEntry.objects.filter(trigger=trigger)
    assert said in entry.detail
    assert "Error" not in entry.detail


@pytest.fixture
def api(types: Any) -> Any:
    scopes = ["config:read", "config:write", "objects:write"]
    secret = keys.create_key(subscriber=Subscriber.objects.create(name="A"), name="a", scopes=scopes)[1]
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    return lambda method, path, body: getattr(client, method)(
        f"/api/v1/{path}", json.dumps(body), content_type="application/json"
    )


def test_a_state_that_is_too_long_is_answered_as_too_large(api: Any) -> None:
    answer = api("put", "objects/account/1/", {"state": {"note": "x" * 256 * 1024}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (413, "/state")
    assert "262,144 bytes" in answer.json()["errors"][0]["detail"]


def test_a_firing_is_not_moved_beyond_ten_years(
    api: Any, rules: Rules, client: Client, admin_user: Any
) -> None:
    trigger = rules("schedule")
    firing = ScheduledFiring.objects.create(
        trigger=trigger, anchor_key="event 1", anchor_at=timezone.now(), due_at=timezone.now()
    )
    for year in (9999, 2100):
        answer = api("patch", f"firings/{firing.pk}/", {"due_at": f"{year}-01-01T00:00:00Z"})
        assert answer.status_code == 400
        assert "ten years from now. To have it never fire, cancel it." in answer.json()["detail"]
    client.force_login(admin_user)
    page = reverse("admin:events_scheduledfiring_change", args=[firing.pk])
    text = client.post(page, {"due_at_0": "2100-01-01", "due_at_1": "00:00"}).text
    assert "ten years from now" in text
    assert api("patch", f"firings/{firing.pk}/", {"due_at": "2030-01-01T00:00:00Z"}).status_code == 200


def test_the_example_of_a_payload_shows_what_was_before(rules: Rules) -> None:
    trigger = rules("change", [("state", "from_to", "Active", "Suspended")])
    sample = preview(of(trigger)).data["transition"]
    assert sample["from_state"] != sample["to_state"]
    for state in ("Trial", "Active", "Suspended", "Ended"):
        report_service(state)
    found = preview(of(trigger))
    assert (found.data["transition"]["from_state"], found.data["transition"]["to_state"]) == (
        "Active",
        "Suspended",
    )
    assert found.made_of.startswith("the update of service:4001")


def test_ledger_and_calendar_name_events(rules: Rules, client: Client, admin_user: Any) -> None:
    rules("change", [("state", "is", "Suspended")])
    report_service("Active")
    report_service("Suspended")
    evaluate_inbox()
    client.force_login(admin_user)
    ledger = reverse("admin:events_ledgerentry_changelist")
    assert "service.state_transitioned <span" in client.get(ledger).text
    entry = LedgerEntry.objects.get(event_id__isnull=False)
    text = client.get(reverse("admin:events_ledgerentry_change", args=[entry.pk])).text
    assert ("this change</a>" in text, f"event {entry.event_id}<" in text) == (True, False)
    event = client.get(reverse("admin:events_event_change", args=[entry.event_id])).text
    assert "Billing objects as it found them" in event
    assert "package:2001" in event
