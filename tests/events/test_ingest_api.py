"""The HTTP API: posting events, reading them and the catalog, and how every refusal is told."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from events import authentication
from events.keys import create_key
from events.models import ApiKey, Event, EventType, Grant, IdempotencyKey, Queue, Scope, Subscriber
from notifications.models import AuditEntry

EXACT = '{"amount":19.90,"z":1, "a":"ë€","n":12345678901234567890}'
PROBLEM = "application/problem+json"


@pytest.fixture
def thing(db: None) -> EventType:
    """An event type in two queues, and one in none."""
    event_type = EventType.objects.create(
        code="thing.happened",
        label="Thing happened",
        resource="thing",
        operation="create",
        category="things",
        schema={"type": "object", "properties": {"amount": {"type": "number"}}},
        sample={"amount": 1},
    )
    event_type.tokens.create(name="thing.amount", group="thing", kind="decimal")
    EventType.objects.create(code="lonely.sent", label="L", resource="x", operation="create", category="x")
    for name in ("one", "two"):
        queue = Queue.objects.create(name=name, is_ordered=False)
        queue.event_types.add(event_type)
    Queue.objects.create(name="orderly", is_ordered=True)
    return event_type


@pytest.fixture
def subscriber(thing: EventType) -> Subscriber:
    subscriber = Subscriber.objects.create(name="Example Telecom")
    for queue in Queue.objects.all():
        Grant.objects.create(subscriber=subscriber, queue=queue, can_create=True)
    return subscriber


@pytest.fixture
def key(subscriber: Subscriber) -> tuple[ApiKey, str]:
    scopes = [Scope.EVENTS_CREATE, Scope.EVENTS_READ, Scope.CONFIG_READ, Scope.CONFIG_WRITE]
    return create_key(subscriber=subscriber, name="billing core", scopes=scopes)


@pytest.fixture
def api(key: tuple[ApiKey, str]) -> Client:
    return Client(headers={"Authorization": f"Bearer {key[1]}"})


def post(api: Client, body: Any, path: str = "events/", **headers: str) -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return api.post(f"/api/v1/{path}", content, content_type="application/json", headers=headers)


def event(**members: Any) -> dict[str, Any]:
    return {"type": "thing.happened", "data": {"amount": 1}} | members


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem document of a response, which must be whole."""
    assert (response.status_code, response["Content-Type"]) == (status, PROBLEM), response.content
    document: dict[str, Any] = json.loads(response.content)
    assert document["status"] == status
    assert {"type", "title", "detail"} <= document.keys()
    assert all(each.keys() == {"field", "detail"} for each in document.get("errors", []))
    return document


def fields(document: dict[str, Any]) -> list[str]:
    return [error["field"] for error in document["errors"]]


class TestPost:
    def test_an_event_is_answered_and_kept_byte_for_byte(self, api: Client, subscriber: Subscriber) -> None:
        body = '{ "type":"thing.happened", "account":"1001", "data" : ' + EXACT + ', "ordering_key":"x" }'
        response = post(api, body)

        assert response.status_code == 201
        stored = Event.objects.get()
        assert stored.data == EXACT
        assert stored.publisher == subscriber
        answer = response.json()
        assert answer | {"occurred_at": "", "created_at": ""} == {
            "id": stored.public_id,
            "type": "thing.happened",
            "account": "1001",
            "ordering_key": "x",
            "queues": ["one", "two"],
            "occurred_at": "",
            "created_at": "",
            "deliver_at": None,
            "idempotency_key": "",
        }
        read = api.get(f"/api/v1/events/{stored.public_id}/")
        assert EXACT.encode() in read.content

    def test_the_same_key_again_is_200_with_the_same_answer(self, api: Client) -> None:
        first = post(api, event(idempotency_key="k"))
        again = post(api, event(), **{"Idempotency-Key": "k"})

        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert Event.objects.count() == 1

    def test_other_content_under_a_key_is_409_and_names_what_differs(self, api: Client) -> None:
        first = post(api, event(idempotency_key="k")).json()
        conflict = problem(post(api, event(idempotency_key="k", data={"amount": 2}, account="7")), 409)

        assert conflict["differing"] == ["data", "account"]
        assert conflict["event"] == first["id"]
        assert conflict["type"] == "urn:bellwether:problem:idempotency-conflict"
        assert Event.objects.count() == 1

    def test_two_different_keys_are_refused(self, api: Client) -> None:
        refused = post(api, event(idempotency_key="k"), **{"Idempotency-Key": "other"})
        assert fields(problem(refused, 400)) == ["/idempotency_key"]
        assert post(api, event(idempotency_key="k"), **{"Idempotency-Key": "k"}).status_code == 201

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (event(colour="red"), "/colour"),
            ({"data": {}}, "/type"),
            ({"type": "thing.happened"}, "/data"),
            (event(type=5), "/type"),
            (event(type="thing.happend"), "/type"),
            (event(queue="three"), "/queue"),
            (event(queue="orderly"), "/queue"),
            (event(occurred_at="2026-11-22T14:03:09"), "/occurred_at"),
            (event(deliver_at="tomorrow"), "/deliver_at"),
            (event(data=[1]), "/data"),
            (event(data={"amount": "1"}), "/data/amount"),
            (event(data={"a": "\0"}), "/data/a"),
            (event(account="a\nb"), "/account"),
            ([], ""),
        ],
    )
    def test_a_wrong_member_is_named(self, api: Client, body: Any, field: str) -> None:
        assert fields(problem(post(api, body), 400)) == [field]
        assert Event.objects.count() == 0

    def test_an_in_order_queue_without_ordering_key_is_refused(self, api: Client, thing: EventType) -> None:
        Queue.objects.get(name="orderly").event_types.add(thing)
        assert fields(problem(post(api, event()), 400)) == ["/ordering_key"]
        assert post(api, event(ordering_key="x")).status_code == 201

    @pytest.mark.parametrize("body", ["", "{", b'{"type":"\xff"}', '{"data":' * 5000, '{"type": nope}'])
    def test_a_body_that_is_no_json_is_refused(self, api: Client, body: str | bytes) -> None:
        assert problem(post(api, body), 400)["detail"].startswith(
            ("The body is not valid JSON", "The body is nested")
        )
        assert Event.objects.count() == 0

    def test_sizes_are_limited(self, api: Client) -> None:
        problem(post(api, event(data={"a": "x" * 256 * 1024})), 413)
        problem(post(api, event(data={"a": "x" * 10 * 1024 * 1024})), 413)
        assert Event.objects.count() == 0

    def test_a_type_that_flows_nowhere_is_accepted_and_says_so(self, api: Client) -> None:
        response = post(api, event(type="lonely.sent"))
        assert (response.status_code, response.json()["queues"]) == (201, [])

    def test_a_post_is_one_statement_when_warm(
        self, api: Client, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        post(api, event())
        with django_assert_num_queries(1):
            post(api, event())


class TestBatch:
    def test_all_are_published_in_order(
        self, api: Client, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        post(api, event())
        events = [event(account=str(n)) for n in range(100)]
        with django_assert_num_queries(3):  # with its savepoint
            response = post(api, {"events": events}, "events/batch/")
        assert response.status_code == 201
        answer = response.json()
        assert (answer["created"], answer["repeated"], answer["refused"]) == (100, 0, 0)
        assert [each["event"]["account"] for each in answer["results"]] == [str(n) for n in range(100)]
        assert list(Event.objects.order_by("id").values_list("account", flat=True)[1:]) == [
            str(n) for n in range(100)
        ]

    def test_a_bare_list_is_taken_too_and_repeats_are_told(self, api: Client) -> None:
        batch = [event(idempotency_key="k"), event(), event(idempotency_key="k")]
        answer = post(api, batch, "events/batch/").json()
        assert [each["status"] for each in answer["results"]] == [201, 201, 200]
        assert answer["results"][0]["event"] == answer["results"][2]["event"]
        again = post(api, [batch[0]], "events/batch/")
        assert (again.status_code, again.json()["repeated"]) == (200, 1)

    @pytest.mark.parametrize(("wrap", "prefix"), [(True, "/events"), (False, "")])
    def test_one_fault_refuses_all_with_a_pointer_to_it(self, api: Client, wrap: bool, prefix: str) -> None:
        batch: Any = [
            event(idempotency_key="k"),
            event(data={"amount": "1"}),
            event(colour="red"),
            event(type="x.y"),
        ]
        response = post(api, {"events": batch} if wrap else batch, "events/batch/")
        expected = [f"{prefix}/1/data/amount", f"{prefix}/2/colour", f"{prefix}/3/type"]
        assert fields(problem(response, 400)) == expected
        assert (Event.objects.count(), IdempotencyKey.objects.count()) == (0, 0)

    def test_partial_publishes_what_can_be(self, api: Client) -> None:
        post(api, event(idempotency_key="k"))
        batch = [event(), event(data={"amount": "1"}), event(idempotency_key="k", account="7"), event()]
        response = post(api, {"events": batch}, "events/batch/?partial=1")

        assert response.status_code == 200
        answer = response.json()
        assert [each["status"] for each in answer["results"]] == [201, 400, 409, 201]
        assert answer["results"][1]["problem"]["errors"][0]["field"] == "/events/1/data/amount"
        assert (answer["created"], answer["refused"]) == (2, 2)
        assert Event.objects.count() == 3

    def test_a_batch_has_limits_and_no_key_of_its_own(self, api: Client) -> None:
        assert fields(problem(post(api, {"events": []}, "events/batch/"), 400)) == ["/events"]
        assert fields(problem(post(api, [event()] * 1001, "events/batch/"), 400)) == [""]
        refused = post(api, [event()], "events/batch/", **{"Idempotency-Key": "k"})
        assert fields(problem(refused, 400)) == ["/idempotency_key"]
        assert fields(problem(post(api, [event()], "events/batch/?partial=maybe"), 400)) == ["/partial"]
        assert Event.objects.count() == 0


class TestAccess:
    def test_without_a_key_or_with_a_bad_one_it_is_401(self, api: Client) -> None:
        for headers in ({}, {"Authorization": "Bearer bwk_nope"}, {"Authorization": "Bearer ë"}):
            response = Client(headers=headers).get("/api/v1/events/")
            problem(response, 401)
            assert response["WWW-Authenticate"] == 'Bearer realm="api"'

    @pytest.mark.parametrize("change", ["revoked", "expired", "inactive"])
    def test_a_key_that_may_no_longer_be_used_is_401(
        self, api: Client, key: tuple[ApiKey, str], change: str
    ) -> None:
        assert post(api, event()).status_code == 201
        if change == "inactive":
            key[0].subscriber.is_active = False
            key[0].subscriber.save()
        else:
            field = "revoked_at" if change == "revoked" else "expires_at"
            setattr(key[0], field, timezone.now() - timedelta(seconds=1))
            key[0].save()
        problem(post(api, event()), 401)
        assert Event.objects.count() == 1

    def test_a_revocation_elsewhere_acts_once_the_key_is_read_again(
        self, api: Client, key: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post(api, event())
        ApiKey.objects.update(revoked_at=timezone.now())
        assert authentication.MAX_AGE <= 5
        monkeypatch.setattr(authentication, "MAX_AGE", 0.0)
        problem(post(api, event()), 401)

    def test_the_last_use_is_noted(self, api: Client, key: tuple[ApiKey, str]) -> None:
        post(api, event())
        key[0].refresh_from_db()
        assert key[0].last_used_at is not None

    def test_a_missing_scope_is_403_and_named(self, api: Client, subscriber: Subscriber) -> None:
        _, token = create_key(subscriber=subscriber, name="reader", scopes=[Scope.EVENTS_READ])
        reader = Client(headers={"Authorization": f"Bearer {token}"})
        assert "events:create" in problem(post(reader, event()), 403)["detail"]
        assert reader.get("/api/v1/events/").status_code == 200
        problem(reader.get("/api/v1/queues/"), 403)

    def test_a_missing_grant_is_403_and_names_the_queue(self, api: Client, subscriber: Subscriber) -> None:
        Grant.objects.get(subscriber=subscriber, queue__name="two").delete()

        refused = problem(post(api, event()), 403)
        assert fields(refused) == ["/queue"]
        assert "goes to two," in refused["detail"]
        problem(post(api, event(queue="two")), 403)
        problem(post(api, [event(queue="one"), event()], "events/batch/"), 403)
        assert Event.objects.count() == 0
        assert post(api, event(queue="one")).status_code == 201

    def test_a_superuser_s_session_publishes_without_grants(self, thing: EventType) -> None:
        user = get_user_model().objects.create_superuser("root")
        browser = Client()
        browser.force_login(user)
        assert post(browser, event()).status_code == 201
        assert Event.objects.get().publisher is None

        strict = Client(enforce_csrf_checks=True)
        strict.force_login(user)
        problem(post(strict, event()), 403)

    def test_staff_use_it_as_their_model_permissions_say(self, thing: EventType) -> None:
        user = get_user_model().objects.create_user("ada", is_staff=True)
        browser = Client()
        browser.force_login(user)
        assert "events.view_queue" in problem(browser.get("/api/v1/queues/"), 403)["detail"]
        user.user_permissions.add(
            *Permission.objects.filter(
                codename__in=["view_queue", "add_event"], content_type__app_label="events"
            )
        )
        assert browser.get("/api/v1/queues/").status_code == 200
        problem(browser.delete("/api/v1/queues/one/"), 403)
        problem(post(browser, event()), 403)


class TestProblems:
    def test_what_does_not_exist_is_404(self, api: Client) -> None:
        for path in ("events/evt_00000000000000000000000000000000/", "events/evt_x/", "event-types/no.such/"):
            problem(api.get(f"/api/v1/{path}"), 404)
        assert "/api/v1/events/" in problem(post(api, event(), "events"), 404)["detail"]

    def test_a_post_to_no_path_is_404_and_asks_for_no_token(self, key: tuple[ApiKey, str]) -> None:
        strict = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {key[1]}"})
        missed = problem(post(strict, event(), "events"), 404)
        assert missed["detail"].endswith("Paths end in a slash: /api/v1/events/")
        problem(post(strict, event(), "nothing/here/"), 404)

    def test_an_unknown_query_parameter_is_400_and_the_known_ones_are_named(self, api: Client) -> None:
        for path, known in (
            ("events/", "ordering_key"),
            ("event-types/", "category"),
            ("queues/", "is_ordered"),
        ):
            refused = problem(api.get(f"/api/v1/{path}?limit=2&bogus=1"), 400)
            assert fields(refused) == ["/bogus"]
            assert known in refused["detail"]
            assert refused["detail"].endswith("limit.")

    def test_a_wrong_method_is_405(self, api: Client) -> None:
        for path in ("events/", "event-types/", "queues/"):
            response = api.put(f"/api/v1/{path}")
            problem(response, 405)
            assert "GET" in response["Allow"]

    def test_another_media_type_is_415(self, api: Client) -> None:
        problem(api.post("/api/v1/events/", "a=1", content_type="application/x-www-form-urlencoded"), 415)

    def test_a_wrong_filter_is_400_and_named(self, api: Client) -> None:
        assert fields(problem(api.get("/api/v1/events/?created_after=x"), 400)) == ["/created_after"]


class TestReading:
    def test_events_are_listed_newest_first_by_pages(
        self, api: Client, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        post(api, [event(account=str(n)) for n in range(5)], "events/batch/")
        with django_assert_num_queries(1):
            page = api.get("/api/v1/events/?limit=3").json()
        assert [each["account"] for each in page["results"]] == ["4", "3", "2"]
        rest = api.get(page["next"]).json()
        assert [each["account"] for each in rest["results"]] == ["1", "0"]
        assert rest["next"] is None

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("type=thing.happened", 2),
            ("type=lonely.sent", 1),
            ("account=7", 1),
            ("ordering_key=x", 1),
            ("queue=one", 2),
            ("queue=two", 1),
            ("idempotency_key=k", 1),
            ("occurred_after=2026-01-01T00:00:00Z", 2),
            ("occurred_before=2026-01-01T00:00:00Z", 1),
            ("created_after=2001-01-01T00:00:00Z", 3),
            ("created_before=2001-01-01T00:00:00Z", 0),
        ],
    )
    def test_events_are_filtered(self, api: Client, query: str, count: int) -> None:
        post(api, event(account="7", ordering_key="x", queue="one"))
        post(api, event(occurred_at="2025-06-01T00:00:00+02:00"))
        post(api, event(type="lonely.sent", idempotency_key="k"))
        assert len(api.get(f"/api/v1/events/?{query}").json()["results"]) == count

    def test_the_catalog_tells_tokens_schema_and_sample(self, api: Client) -> None:
        listed = api.get("/api/v1/event-types/").json()["results"]
        assert [each["code"] for each in listed] == ["lonely.sent", "thing.happened"]
        one = api.get("/api/v1/event-types/thing.happened/").json()
        assert one == listed[1]
        assert one["tokens"][0]["name"] == "thing.amount"
        assert (one["sample"], one["schema"]["type"], one["queues"]) == (
            {"amount": 1},
            "object",
            ["one", "two"],
        )


class TestConfiguration:
    def test_a_queue_is_managed_with_its_routing(self, api: Client, thing: EventType) -> None:
        made = post(api, {"name": "new", "event_types": ["thing.happened"]}, "queues/")
        assert made.status_code == 201, made.content
        assert made.json()["is_ordered"] is True
        changed = api.patch("/api/v1/queues/new/", {"event_types": []}, content_type="application/json")
        assert changed.json()["event_types"] == []
        number = made.json()["id"]
        assert api.delete("/api/v1/queues/new/").status_code == 204
        recorded = AuditEntry.objects.order_by("id").values_list("actor_name", "action", "subject", "reason")
        prefix = ApiKey.objects.get().prefix
        assert list(recorded) == [
            (f"API key {prefix}", "queue.create", f"queue {number}", ""),
            (f"API key {prefix}", "queue.update", f"queue {number}", "Given: event_types."),
            (f"API key {prefix}", "queue.delete", f"queue {number}", ""),
        ]

    def test_what_was_refused_is_not_recorded(self, api: Client, subscriber: Subscriber) -> None:
        post(api, event())
        problem(api.delete(f"/api/v1/subscribers/{subscriber.pk}/"), 409)
        problem(post(api, {"name": "Bad Name"}, "queues/"), 400)
        assert not AuditEntry.objects.exists()

    def test_the_model_s_own_rules_are_told_by_field(self, api: Client, subscriber: Subscriber) -> None:
        assert fields(problem(post(api, {"name": "Bad Name"}, "queues/"), 400)) == ["/name"]
        assert fields(problem(post(api, {"name": "ok", "colour": 1}, "queues/"), 400)) == ["/colour"]
        assert fields(problem(post(api, {"name": "one"}, "queues/"), 400)) == ["/name"]
        grant = {"subscriber": subscriber.pk, "queue": "orderly"}
        twice = problem(post(api, grant | {"can_create": True}, "grants/"), 400)
        assert "already exists" in twice["detail"]
        Grant.objects.all().delete()
        empty = problem(post(api, grant, "grants/"), 400)
        assert empty["detail"] == "Grant at least one of create, update and delete."

    def test_a_subscriber_that_published_cannot_be_deleted(self, api: Client, subscriber: Subscriber) -> None:
        post(api, event())
        refused = problem(api.delete(f"/api/v1/subscribers/{subscriber.pk}/"), 409)
        assert "events" in refused["detail"]


class TestDocumentation:
    def test_the_schema_and_the_pages_load_under_the_strict_policy(self, api: Client) -> None:
        schema = Client().get("/api/v1/schema/?format=json")
        assert schema.status_code == 200
        paths = schema.json()["paths"]
        assert {"/api/v1/events/", "/api/v1/events/batch/", "/api/v1/deliveries/"} <= paths.keys()

        page = Client().get("/api/v1/docs/")
        assert page.status_code == 200
        text = page.content.decode()
        assert "<style" not in text
        assert "<script>" not in text
        assert "script-src" not in page["Content-Security-Policy"]
        assert "default-src 'self'" in page["Content-Security-Policy"]
        script = Client().get("/api/v1/docs/?script=")
        assert script["Content-Type"].startswith("application/javascript")


class TestHealth:
    def test_liveness_and_readiness_need_no_key(self, api: Client) -> None:
        assert Client().get("/healthz").json() == {"status": "ok"}
        assert Client().get("/readyz").json() == {
            "status": "ready",
            "database": True,
            "oldest_due_seconds": 0.0,
        }
        post(api, event())
        Event.objects.update(created_at=timezone.now() - timedelta(minutes=5))
        assert Client().get("/readyz").json()["oldest_due_seconds"] >= 300
