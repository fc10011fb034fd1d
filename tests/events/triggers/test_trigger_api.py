"""Triggers over HTTP: the console's validation, back-tests, the ledger, and what will fire."""

import itertools
import json
from typing import Any

import pytest
from django.test import Client

from events import catalog, keys
from events.models import EventType, ScheduledFiring, Subscriber, Trigger
from events.publish import publish
from events.triggers import evaluate_inbox

from .conftest import Rules, fired
from .test_calendar import deliver
from .test_change import report_service

RULE = {
    "name": "Suspended", "source": "change", "object_kind": "service", "event_type": "service.state_transitioned",
    "conditions": [
        {"field": "state", "operator": "from_to", "value": "Active", "value_to": "Suspended"},
        {"field": "account.currency", "operator": "is", "value": "USD"},
    ],
}  # fmt: skip


class Api:
    def __init__(self, secret: str) -> None:
        self.client, self.headers = Client(), {"Authorization": f"Bearer {secret}"}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        call = getattr(self.client, method)
        return call(f"/api/v1/{path}", body, content_type="application/json", headers=self.headers)


@pytest.fixture
def api(types: dict[str, EventType]) -> Api:
    subscriber = Subscriber.objects.create(name="Example Telecom")
    scopes = ["config:read", "config:write"]
    return Api(keys.create_key(subscriber=subscriber, name="a", scopes=scopes)[1])


def test_a_rule_is_made_tried_activated_and_explained(api: Api) -> None:
    for state in ("Active", "Suspended"):
        report_service(state)
    evaluate_inbox()
    made = api("post", "triggers/", RULE)
    assert made.status_code == 201, made.content
    pk = made.json()["id"]
    assert made.json()["rule"].startswith("When a service is updated, so that state changed from Active")
    assert (made.json()["is_active"], len(made.json()["conditions"])) == (False, 2)
    tried = api("post", f"triggers/{pk}/back-test/", {"days": 7})
    assert (tried.status_code, tried.json()["status"], tried.json()["fired"]) == (202, "done", 1)
    assert tried.json()["result"]["examples"][0]["data"]["service"]["id"] == "4001"
    assert api("post", f"triggers/{pk}/activate/").json()["is_active"] is True
    for state in ("Active", "Suspended"):
        report_service(state)
    evaluate_inbox()
    assert len(fired()) == 1
    found = api("get", f"trigger-ledger/?trigger={pk}&kind=service&external_id=4001").json()["results"]
    assert [each["outcome"] for each in found] == ["fired", "not_met"]
    assert found[1]["findings"][0]["seen"] == "Active, before Suspended"
    assert [each["event"] for each in found] == [fired()[0].public_id, None]
    changed = api("patch", f"triggers/{pk}/", {"conditions": [{"field": "state", "operator": "changed"}]})
    assert [each["operator"] for each in changed.json()["conditions"]] == ["changed"]


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        ({"object_kind": "servce"}, "/object_kind", "Did you mean service?"),
        ({"timezone": "Mars"}, "/timezone", "There is no time zone 'Mars'"),
        (
            {"conditions": [{"field": "a", "operator": "gt", "value": "x"}]},
            "/conditions/0/value",
            "is no number",
        ),
        ({"event_type": "usage.threshold_exceeded"}, "/payload", "bucket.id is missing"),
        ({"source": "inactivity"}, "/idle_days", "Give the days without activity."),
        ({"nonsense": 1}, "/nonsense", "Unknown member"),
        ({"conditions": [{"field": "a", "operator": "is", "vlaue": 1}]}, "/conditions/0/vlaue", "Unknown"),
        ({"thresholds": [{"threshold": "75"}, {"threshold": 75}]}, "/thresholds/1/threshold", "give it once"),
        ({"plans": [{"plan": "A", "idle_days": 1}, {"plan": "A", "idle_days": 2}]}, "/plans/1/plan", "once"),
        (
            {"payload": [{"path": "a.b", "source": "static", "value": "1"}] * 2},
            "/payload/1/path",
            "give it once",
        ),
    ],
)
def test_a_rule_that_could_not_work_is_refused_by_field(api: Api, change: Any, field: str, told: str) -> None:
    report_service("Active")
    answer = api("post", "triggers/", {**RULE, **change})
    assert answer.status_code == 400
    faults = {each["field"]: each["detail"] for each in answer.json()["errors"]}
    assert told in faults.get(field, faults), faults
    assert not Trigger.objects.filter(name="Suspended").exists()


@pytest.mark.parametrize("length", [1, 3])
def test_a_circle_of_events_is_refused_however_long(api: Api, length: int) -> None:
    way = [f"step{number}.taken" for number in range(length + 1)]
    for code in way:
        EventType.objects.create(code=code, label=code, resource="step", operation="update", category="own")
    for start, end in itertools.pairwise(way):
        body = {"name": start, "source": "event", "anchor": start, "event_type": end}
        assert api("post", "triggers/", body).status_code == 201
    body = {"name": "back", "source": "event", "anchor": way[-1], "event_type": way[0]}
    answer = api("post", "triggers/", body)
    assert f"That would be a circle: {way[-1]} → {way[0]}" in answer.json()["detail"]


def test_a_chain_that_would_be_too_deep_is_refused(api: Api) -> None:
    way = [f"step{number}.taken" for number in range(7)]
    for code in way:
        EventType.objects.create(code=code, label=code, resource="step", operation="update", category="own")
    answers = [
        api("post", "triggers/", {"name": start, "source": "event", "anchor": start, "event_type": end})
        for start, end in itertools.pairwise(way)
    ]
    assert [answer.status_code for answer in answers] == [201] * 5 + [400]
    assert "6 deep; at most 5 are allowed" in answers[-1].json()["detail"]


def test_a_chain_fires_for_what_its_payload_meets_and_ends_at_its_depth(
    api: Api, rules: Rules, types: Any
) -> None:
    conditions = [("attempt.is_final", "is", "true")]
    rules("event", conditions, event="credit.processed", name="first")
    rules("event", anchor="credit.processed", event="refund.processed", name="second")
    Trigger.objects.get(name="first").fields.create(path="credit.id", source="object", value="payment.id")
    Trigger.objects.get(name="second").fields.create(path="refund.id", source="static", value="77")
    data = catalog.sample(catalog.BY_CODE["payment.failed"])
    for is_final in (False, True):
        data["attempt"]["is_final"] = is_final
        publish("payment.failed", data)
    evaluate_inbox()
    assert [event.type.code for event in fired()] == [
        "payment.failed", "payment.failed", "credit.processed", "refund.processed",
    ]  # fmt: skip
    assert json.loads(fired()[-1].data)["refund"] == {"id": "77"}
    assert fired()[-1].source == "chained"


def test_what_will_fire_is_read_moved_and_cancelled(api: Api, rules: Rules, clock: Any) -> None:
    rules("schedule")
    deliver()
    evaluate_inbox()
    [row] = api("get", "firings/?status=pending&account=1001").json()["results"]
    assert (row["kind"], row["external_id"]) == ("invoice", "INV-1")
    wrong = {"due_at": "2026-12-01T10:00:00Z", "zone": "UTC", "tz": "UTC"}
    assert api("patch", f"firings/{row['id']}/", wrong).json()["errors"][0]["field"] == "/tz"
    moved = api("patch", f"firings/{row['id']}/", {"due_at": "2026-12-01T10:00:00Z"}).json()
    assert (moved["due_at"][:16], moved["is_by_hand"]) == ("2026-12-01T10:00", True)
    assert api("post", f"firings/{row['id']}/cancel/", {"reason": "disputed"}).json()["status"] == "cancelled"
    again = api("post", f"firings/{row['id']}/cancel/", {})
    assert (again.status_code, "does not wait any more" in again.json()["detail"]) == (400, True)
    assert ScheduledFiring.objects.get().reason.endswith("disputed")


def test_a_built_in_rule_is_switched_off_not_deleted(api: Api) -> None:
    pk = Trigger.objects.get(builtin="sim.dormant").pk
    answer = api("delete", f"triggers/{pk}/")
    assert (answer.status_code, "switched off, not deleted" in answer.json()["detail"]) == (400, True)
