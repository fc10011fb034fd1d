"""Reporting billing objects and activity over HTTP, and how every refusal is told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from events import kinds
from events.keys import create_key
from events.models import Activity, BillingObject, Change, Scope, Subscriber

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


@pytest.fixture
def api(db: None) -> Client:
    kinds.sync()
    subscriber = Subscriber.objects.create(name="Example Telecom")
    scopes = [Scope.OBJECTS_WRITE, Scope.EVENTS_READ]
    _, token = create_key(subscriber=subscriber, name="billing core", scopes=scopes, is_operator=True)
    return Client(headers={"Authorization": f"Bearer {token}"})


def send(api: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    response = api.generic(method.upper(), f"/api/v1/{path}", text, content_type="application/json")
    return response.status_code, json.loads(response.content)


def test_put_creates_updates_and_repeats_for_free(api: Client) -> None:
    path = "objects/invoice/I-1/"
    first = '{"state": {"total": 19.90, "account": {"id": "1001"}}, "version": 1}'
    seen = [
        send(api, "put", path, first),
        send(api, "put", path, first),
        send(api, "put", path, {"state": {"total": 20}, "version": 2}),
        send(api, "patch", path, {"state": {"status": "posted"}}),
        send(api, "delete", path + "?version=3"),
        send(api, "delete", path + "?version=3"),
    ]
    assert [(status, body["operation"], body["version"]) for status, body in seen] == [
        (201, "create", 1),
        (200, None, 1),
        (200, "update", 2),
        (200, "update", 2),
        (200, "delete", 3),
        (200, None, 3),
    ]
    assert api.get(f"/api/v1/{path}").content.count(b'"total":20,') == 1
    assert Change.objects.count() == 4
    assert str(Change.objects.get(operation="create").after["total"]) == "19.90"
    status, body = send(api, "get", "objects/account/1001/")
    assert (status, body["state"], body["reported_at"]) == (200, {}, None)
    page = api.get("/api/v1/objects/?parent=account:1001").json()
    assert [(each["kind"], each["id"], each["deleted"]) for each in page["results"]] == [
        ("invoice", "I-1", True)
    ]


def test_a_stale_version_is_told_which_one_is_known(api: Client) -> None:
    send(api, "put", "objects/account/1/", {"state": {"status": "Active"}, "version": 7})
    older = send(api, "put", "objects/account/1/", {"state": {"status": "Trial"}, "version": 6})
    same = send(api, "put", "objects/account/1/", {"state": {"status": "Trial"}, "version": 7})
    assert [(status, body["type"], body["known_version"]) for status, body in (older, same)] == [
        (409, "urn:bellwether:problem:stale-version", 7)
    ] * 2
    assert BillingObject.objects.get().state == {"status": "Active"}
    assert Change.objects.count() == 1


OBJECT, BATCH, ACTIVITY = "objects/account/1/", "objects/batch/", "activity/"
BOTH = {"state": {"service": {"id": 1}}, "parents": {"service": "2"}}
AHEAD = {"id": "1", "at": "2999-01-01T00:00:00Z"}
# Years that PostgreSQL keeps and Python cannot read, or that no zone east of it can show.
EARLY, LATE = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field", "remedy"),
    [
        ("put", "objects/servise/1/", {"state": {}}, 400, "/kind", "Did you mean service?"),
        ("put", OBJECT, {}, 400, "/state", "required"),
        ("put", OBJECT, {"state": []}, 400, "/state", "JSON object"),
        ("put", OBJECT, {"state": {"a": "\0"}}, 400, "/state/a", "leave it out"),
        ("put", OBJECT, {"state": {"id": "2"}}, 400, "/state/id", "make them equal"),
        ("put", OBJECT, {"state": {}, "versoin": 1}, 400, "/versoin", "Unknown member"),
        ("put", OBJECT, {"state": {}, "version": -1}, 400, "/version", "from 0"),
        ("put", OBJECT, {"state": {}, "occurred_at": "2026-11-22"}, 400, "/occurred_at", "Invalid"),
        ("put", OBJECT, {"state": {}, "parents": {"sim": "1"}}, 400, "/parents/sim", "its parents are: none"),
        (
            "put",
            "objects/sim/1/",
            {"state": {"service": {"id": [1]}}},
            400,
            "/state/service/id",
            "the service",
        ),
        ("put", "objects/sim/1/", BOTH, 400, "/parents/service", "say the same"),
        ("put", f"objects/account/{'x' * 101}/", {"state": {}}, 400, "/id", "1 to 100"),
        ("delete", OBJECT, None, 404, "/id", "nothing to delete"),
        ("delete", f"{OBJECT}?version=x", None, 400, "/version", "whole number"),
        ("post", BATCH, {"objects": []}, 400, "/objects", "1 to 1000"),
        ("post", ACTIVITY, {"activity": []}, 400, "/activity", "1 to 10000"),
        ("post", ACTIVITY, {"activity": [{"id": "1", "kind": "simm"}]}, 400, "/activity/0/kind", "mean sim?"),
        (
            "post",
            ACTIVITY,
            {"activity": [{"id": "1", "activity": "x"}]},
            400,
            "/activity/0/activity",
            "usage or",
        ),
        ("post", ACTIVITY, {"activity": [AHEAD]}, 400, "/activity/0/at", "day ahead"),
        ("post", ACTIVITY, {"activity": [{"id": "1", "at": EARLY}]}, 400, "/activity/0/at", "1970 to 2999"),
        ("post", ACTIVITY, {"activity": [{"id": " 1 "}]}, 400, "/activity/0/id", "without blanks"),
        ("post", ACTIVITY, {"activity": [{"id": "1"}, {"id": 2}]}, 400, "/activity/1/id", "Expected `str`"),
        ("post", ACTIVITY, {"activity": [{"id": "1", "on": 1}]}, 400, "/activity/0/on", "Unknown member"),
        ("post", ACTIVITY, {"activity": [{}]}, 400, "/activity/0/id", "required"),
        ("put", OBJECT, {"state": {}, "occurred_at": EARLY}, 400, "/occurred_at", "1970 to 2999"),
        ("put", OBJECT, {"state": {}, "occurred_at": LATE}, 400, "/occurred_at", "1970 to 2999"),
        ("put", OBJECT, {"state": {}, "parents": {"package": 1}}, 400, "/parents", "Expected `str"),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(
    api: Client, method: str, path: str, body: Any, status: int, field: str, remedy: str
) -> None:
    got, problem = send(api, method, path, body)
    assert (got, [each["field"] for each in problem["errors"]]) == (status, [field])
    assert remedy in problem["errors"][0]["detail"]
    assert not BillingObject.objects.exists()
    assert not Change.objects.exists()
    assert not Activity.objects.exists()


def test_a_batch_is_taken_whole_or_not_at_all(api: Client) -> None:
    good = {"kind": "package", "id": "P", "state": {"name": "A"}, "parents": {"account": "1"}, "version": 2}
    gone = {"kind": "package", "id": "P", "deleted": True}
    bad = {"kind": "package", "id": "", "state": {}}
    both = {"kind": "package", "id": "Q", "state": {}, "deleted": True}
    old = {"kind": "package", "id": "P", "state": {"name": "B"}, "version": 1}
    status, problem = send(api, "post", "objects/batch/", {"objects": [good, gone, bad, both, old]})
    assert status == 400
    assert [each["field"] for each in problem["errors"]] == [
        "/objects/2/id",
        "/objects/3/state",
        "/objects/4/version",
    ]
    assert not BillingObject.objects.exists()

    status, body = send(api, "post", "objects/batch/?partial=1", {"objects": [good, gone, bad, both, old]})
    assert (status, body["changed"], body["refused"]) == (200, 2, 3)
    assert [each["status"] for each in body["results"]] == [201, 200, 400, 400, 409]
    assert [each.operation for each in Change.objects.order_by("id")] == ["create", "delete"]
    status, problem = send(api, "post", "objects/batch/", [good])
    assert (status, problem["errors"][0]["field"]) == (409, "/0/version"), "it does not undo the delete"


def test_a_batch_costs_as_many_statements_as_one_report(api: Client, django_assert_num_queries: Any) -> None:
    def items(count: int, name: str) -> dict[str, Any]:
        return {"objects": [
            {"kind": "service", "id": str(at), "state": {"name": name}, "parents": {"account": str(at % 7)}}
            for at in range(count)
        ]}  # fmt: skip

    send(api, "post", "objects/batch/", items(1, "warm"))
    for count in (1, 300):
        # A savepoint, kinds, insert, lock, update, changes.
        with django_assert_num_queries(7):
            assert send(api, "post", "objects/batch/", items(count, f"n{count}"))[0] == 200


def test_the_latest_activity_wins_whatever_the_order(api: Client) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [{"id": "A", "at": (now - timedelta(days=days)).isoformat()} for days in (5, 2, 9)] + [
        {"id": "B", "activity": "network"}
    ]
    assert send(api, "post", "activity/", {"activity": rows}) == (200, {"received": 4, "moved": 2})
    late = {"activity": [{"id": "A", "at": (now - timedelta(days=3)).isoformat()}]}
    assert send(api, "post", "activity/", late) == (200, {"received": 1, "moved": 0})
    assert Activity.objects.get(external_id="A").last_at == now - timedelta(days=2)
    assert list(Activity.objects.order_by("external_id").values_list("external_id", "activity")) == [
        ("A", "usage"),
        ("B", "network"),
    ]


def test_a_key_without_the_scope_reports_nothing(api: Client) -> None:
    _, token = create_key(subscriber=Subscriber.objects.get(), name="reader", scopes=[Scope.EVENTS_READ])
    reader = Client(headers={"Authorization": f"Bearer {token}"})
    lacks = "This API key lacks the scope objects:write."
    others = "Billing objects belong to no one subscriber: this takes an operator's key."
    for method, path, told in [
        ("put", "objects/account/1/", lacks),
        ("post", "activity/", lacks),
        ("get", "objects/", others),
        ("get", "objects/account/1/", others),
    ]:
        status, problem = send(reader, method, path, {"state": {}})
        assert (status, problem["detail"]) == (403, told)
    assert not BillingObject.objects.exists()


def test_an_id_that_none_can_have_is_not_found(api: Client) -> None:
    assert [send(api, "get", path)[0] for path in ("objects/sim/a%00b/", "objects/a%00b/1/")] == [404, 404]
