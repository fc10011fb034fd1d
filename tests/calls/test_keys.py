"""Keys over HTTP: shown once, no more than the caller has; and what each kind of key sees of each call."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.keys import digest
from events.models import ApiKey, BillingObject, Grant, Queue, Scope
from notifications.models import AuditEntry, EndpointHeader, Parameter
from tests import console_form
from tests.calls.conftest import Api, Scene
from tests.factories import EndpointFactory, WebhookSubscriptionFactory

CONFIG = ["config:read", "config:write"]


class TestKeys:
    def test_a_key_is_shown_once_and_works_until_it_is_revoked(self, scene: Scene) -> None:
        api = scene.key(*CONFIG, "deliveries:read")
        body = {"subscriber": scene.hooks.subscriber_id, "name": "desk", "scopes": ["deliveries:read"]}
        made = api("post", "keys/", body, status=201)
        token = made.pop("key")
        assert ApiKey.objects.get(pk=made["id"]).digest == digest(token)
        assert api("get", f"keys/{made['id']}/", status=200) == made
        assert (made["state"], made["is_operator"], made["prefix"]) == ("usable", False, token[:12])
        desk = Api(token)
        desk("get", "deliveries/", status=200)
        assert (
            api("post", f"keys/{made['id']}/revoke/", {"reason": "leaked"}, status=200)["state"] == "revoked"
        )
        api("post", f"keys/{made['id']}/revoke/", {}, status=200)
        desk("get", "deliveries/", status=401)
        entries = AuditEntry.objects.filter(subject=made["prefix"]).order_by("id")
        assert [(entry.action, entry.reason) for entry in entries] == [
            ("api_key.create", ""), ("api_key.revoke", "leaked"),
        ]  # fmt: skip
        assert token not in str(api("get", "keys/", status=200))

    def test_a_wrong_key_names_its_member(self, scene: Scene) -> None:
        cases: list[tuple[Any, str, str]] = [
            ({"scopes": ["deliveries:operate"]}, "/scopes", "does not have deliveries:operate itself"),
            ({"scopes": []}, "/scopes", "empty"),
            ({"scopes": ["all"]}, "/scopes/0", "not a valid choice"),
            ({"scopes": ["config:read"]}, "/is_operator", "make it an operator's key"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "a time to come"),
            ({"name": ""}, "/name", "blank"),
            ({"digest": "x"}, "/digest", "Unknown member"),
        ]
        api = scene.key(*CONFIG, "deliveries:read")
        before = ApiKey.objects.count()
        whole = {"subscriber": scene.hooks.subscriber_id, "name": "desk", "scopes": ["deliveries:read"]}
        for more, field, told in cases:
            [fault] = api("post", "keys/", whole | more, status=400)["errors"]
            assert (fault["field"], told in fault["detail"]) == (field, True), fault
        assert ApiKey.objects.count() == before

    def test_a_key_gives_none_that_lives_longer(self, scene: Scene) -> None:
        ends = timezone.now() + timedelta(days=1)
        api = scene.key(*CONFIG, expires_at=ends)
        body = {"subscriber": scene.publisher.pk, "name": "x", "scopes": ["config:read"], "is_operator": True}
        [fault] = api("post", "keys/", body, status=400)["errors"]
        assert fault["field"] == "/expires_at"
        api("post", "keys/", body | {"expires_at": ends.isoformat()}, status=201)

    def test_what_a_key_may_do_is_settled(self, scene: Scene) -> None:
        api = scene.key(*CONFIG)
        made = ApiKey.objects.get(subscriber=scene.hooks.subscriber)
        assert api("patch", f"keys/{made.pk}/", {"name": "renamed"}, status=200)["name"] == "renamed"
        for member in (
            {"scopes": ["config:read"]},
            {"is_operator": False},
            {"subscriber": scene.publisher.pk},
        ):
            assert "make another one" in api("patch", f"keys/{made.pk}/", member, status=400)["detail"]
        billing = ApiKey.objects.get(subscriber=scene.publisher)
        # A key with more than the caller's scopes is not given a longer life by it either.
        api("patch", f"keys/{billing.pk}/", {"expires_at": None}, status=400)
        api("delete", f"keys/{made.pk}/", status=405)

    def test_a_key_grants_only_what_it_may_do_itself(self, scene: Scene) -> None:
        body = {
            "subscriber": scene.hooks.subscriber_id,
            "queue": "billing",
            "can_create": True,
            "can_delete": True,
        }
        problem = scene.key(*CONFIG, "events:create")("post", "grants/", body, status=400)
        assert [fault["field"] for fault in problem["errors"]] == ["/can_delete"]
        grant = scene.key(*CONFIG, "events:create", "events:delete")("post", "grants/", body, status=201)
        # What is granted already may stay.
        api = scene.key(*CONFIG)
        api("patch", f"grants/{grant['id']}/", {"can_delete": True, "others_entries": True}, status=200)
        api("patch", f"grants/{grant['id']}/", {"can_update": True}, status=400)
        assert Grant.objects.get(pk=grant["id"]).can_update is False


# What each kind of key gets from each call that reads: with all scopes of its kind.
OWN = [scope for scope in Scope.values if not scope.startswith("config:")]
READS: list[tuple[str, Any, Any, Any, Any]] = [
    # path, operator's, the publisher's, the listening subscriber's, another subscriber's: how many, or the status
    ("events/", 1, 1, 0, 0),
    ("events/{event}/", 200, 200, 404, 404),
    ("deliveries/", 2, 0, 1, 1),
    ("deliveries/{delivery}/", 200, 404, 200, 404),
    ("replays/", 1, 0, 1, 0),
    ("replays/{replay}/", 200, 404, 200, 404),
    ("statements/{day}/", 2, 0, 1, 1),
    ("objects/", 1, 403, 403, 403),
    ("objects/account/1001/", 200, 403, 403, 403),
    ("suppressions/", 0, 403, 403, 403),
    ("queues/billing/messages/", 1, 0, 1, 1),  # those of its subscriber, which is the listening one
    ("event-types/", 23, 23, 23, 23),
    ("keys/", 4, 403, 403, 403),
    ("grants/", 1, 403, 403, 403),
    ("subscribers/", 3, 403, 403, 403),
    ("queues/", 1, 403, 403, 403),
    ("endpoints/", 2, 403, 403, 403),
    ("subscriptions/", 2, 403, 403, 403),
    ("triggers/", None, 403, 403, 403),
    ("templates/", None, 403, 403, 403),
    ("smtp-profiles/", 0, 403, 403, 403),
]
WRITES: list[tuple[str, str, Any, tuple[int, int, int, int]]] = [
    ("patch", "events/{event}/", {"deliver_at": None}, (403, 409, 403, 403)),
    ("delete", "events/{event}/", None, (403, 200, 403, 403)),
    ("post", "deliveries/{delivery}/cancel/", {}, (409, 404, 409, 404)),
    ("post", "replays/?dry_run=1", {"ids": ["{delivery}"]}, (200, 400, 200, 400)),
    ("post", "statements/resend-missing/?dry_run=1", {"ids": ["{delivery}"]}, (200, 400, 200, 400)),
    ("post", "suppressions/", {"address": "a@example.com"}, (201, 403, 403, 403)),
    ("post", "queues/billing/ack/", {"cursor": "0-0"}, (200, 200, 200, 200)),
    ("post", "subscribers/", {"name": "new"}, (201, 403, 403, 403)),
    ("post", "keys/", {}, (400, 403, 403, 403)),
]


def test_each_kind_of_key_sees_what_is_its_own(scene: Scene) -> None:
    other: Any = WebhookSubscriptionFactory(queue=scene.queue, name="other")
    event, delivery = scene.fanned_out()
    operators = scene.key(*Scope.values)
    operators("put", "objects/account/1001/", {"state": {"status": "active"}}, status=201)
    type(delivery).objects.filter(pk=delivery.pk).update(
        status="delivered", due_at=None, settled_at=timezone.now()
    )
    listener = scene.key(*OWN)
    replay = listener("post", "replays/", {"ids": [delivery.public_id]}, status=201)["id"]
    type(delivery).objects.filter(pk=delivery.pk).update(
        status="delivered", due_at=None, settled_at=timezone.now()
    )
    apis = [
        operators,
        scene.key(*OWN, subscriber=scene.publisher),
        listener,
        scene.key(*OWN, subscriber=other.subscriber),
    ]
    ApiKey.objects.filter(subscriber=scene.publisher, name="billing").delete()
    names = {
        "event": event, "delivery": delivery.public_id, "replay": str(replay),
        "day": delivery.created_at.date().isoformat(),
    }  # fmt: skip
    assert BillingObject.objects.count() == 1
    for path, *expected in READS:
        for number, (api, wanted) in enumerate(zip(apis, expected, strict=True)):
            answer = api("get", path.format(**names))
            if wanted is None or wanted in (200, 403, 404):
                assert api.status == (wanted or 200), (path, number, answer)
            else:
                assert api.status == 200, (path, number, answer)
                rows = answer.get("results", answer.get("subscriptions", answer.get("messages")))
                assert len(rows) == wanted, (path, number)
    # Refused ones first: the one who may cancels the event.
    for method, path, body, statuses in WRITES:
        for number in (3, 2, 0, 1):
            given = body and {
                name: [each.format(**names) for each in value] if isinstance(value, list) else value
                for name, value in body.items()
            }
            answer = apis[number](method, path.format(**names), given if body is not None else None)
            assert apis[number].status == statuses[number], (method, path, number, answer)


class TestRepointing:
    @pytest.fixture
    def api(self, scene: Scene) -> Api:
        return scene.key(*CONFIG)

    def test_another_host_takes_no_stored_secret_along(self, scene: Scene, api: Api) -> None:
        endpoint: Any = scene.hooks.endpoint
        endpoint.authorization, endpoint.bearer_token = "bearer", "old-token"
        endpoint.api_key_header, endpoint.api_key = "X-Key", "old-key"
        endpoint.save()
        EndpointHeader.objects.create(endpoint=endpoint, name="X-Tenant", is_secret=True, secret_value="s")
        path, moved = f"endpoints/{endpoint.pk}/", {"base_url": "https://thief.example.net"}
        problem = api("patch", path, moved, status=400)
        assert {fault["field"] for fault in problem["errors"]} == {"/bearer_token", "/api_key"}
        given = moved | {"bearer_token": "new-token", "api_key": "new-key"}
        [fault] = api("patch", path, given, status=400)["errors"]
        assert (fault["field"], "X-Tenant" in fault["detail"]) == ("/headers", True)
        endpoint.refresh_from_db()
        assert "thief" not in endpoint.base_url
        headers = {"headers": [{"name": "X-Tenant", "is_secret": True, "value": "t"}]}
        api("patch", path, given | headers, status=200)
        # On the same host, what is stored stays.
        api("patch", path, {"base_url": "https://thief.example.net/v2"}, status=200)
        endpoint.refresh_from_db()
        assert (endpoint.bearer_token, endpoint.api_key) == ("new-token", "new-key")

    def test_without_the_scheme_its_secret_need_not_be_given(self, scene: Scene, api: Api) -> None:
        endpoint: Any = scene.hooks.endpoint
        endpoint.authorization, endpoint.bearer_token = "bearer", "old-token"
        endpoint.save()
        moved = {"base_url": "https://new.example.net", "authorization": ""}
        api("patch", f"endpoints/{endpoint.pk}/", moved, status=200)

    def test_a_token_server_gets_no_stored_client_secret(self, scene: Scene, api: Api) -> None:
        endpoint: Any = scene.hooks.endpoint
        endpoint.authorization, endpoint.client_id, endpoint.client_secret = "oauth2", "me", "old"
        endpoint.token_url = "https://login.example.com/token"
        endpoint.save()
        moved = {"token_url": "https://thief.example.net/token"}
        [fault] = api("patch", f"endpoints/{endpoint.pk}/", moved, status=400)["errors"]
        assert fault["field"] == "/client_secret"

    def test_secret_parameters_do_not_move_along(self, scene: Scene, api: Api) -> None:
        Parameter.objects.create(
            subscription=scene.hooks, name="k", is_secret=True, secret="s", source="static"
        )
        moved = {"base_url": "https://thief.example.net"}
        [fault] = api("patch", f"endpoints/{scene.hooks.endpoint_id}/", moved, status=400)["errors"]
        assert (fault["field"], "hooks" in fault["detail"]) == ("/base_url", True)

    def test_a_subscription_takes_no_secret_parameter_to_another_host(self, scene: Scene, api: Api) -> None:
        Parameter.objects.create(
            subscription=scene.hooks, name="k", is_secret=True, secret="stored-secret", source="static"
        )
        thief = EndpointFactory(subscriber=scene.hooks.subscriber, base_url="https://thief.example.net")
        path, moved = f"subscriptions/{scene.hooks.pk}/", {"endpoint": thief.pk}  # type: ignore[attr-defined]
        parameter = {"name": "k", "source": "static", "is_secret": True, "placement": "body"}
        for body in (moved, moved | {"parameters": [parameter]}):
            [fault] = api("patch", path, body, status=400)["errors"]
            assert (fault["field"], "Give the value again" in fault["detail"]) == ("/parameters", True), fault
        api("patch", path, moved | {"parameters": [parameter | {"value": "typed-secret"}]}, status=200)
        api("patch", path, {"endpoint": scene.hooks.endpoint_id, "parameters": []}, status=200)


class TestOrder:
    def test_the_order_of_a_queue_changes_only_while_nothing_waits(self, scene: Scene) -> None:
        api = scene.key(*CONFIG)
        scene.fanned_out()
        problem = api("patch", "queues/billing/", {"is_ordered": False}, status=409)
        assert (problem["subscriptions"], "let them arrive" in problem["detail"]) == (["hooks"], True)
        api("patch", "queues/billing/", {"is_ordered": True, "description": "as before"}, status=200)
        type(scene.fanned_out()[1]).objects.update(status="delivered", due_at=None, settled_at=timezone.now())
        assert api("patch", "queues/billing/", {"is_ordered": False}, status=200)["is_ordered"] is False

    def test_the_console_says_the_same_at_the_field(self, scene: Scene, admin_client: Client) -> None:
        scene.fanned_out()
        url = reverse("admin:events_queue_change", args=[scene.queue.pk])
        form = console_form.read(admin_client.get(url), "queue")
        form.pop("is_ordered")
        assert "let them arrive" in admin_client.post(url, form).text
        assert Queue.objects.get().is_ordered
        form["is_ordered"] = ["on"]
        assert admin_client.post(url, form).status_code == 302


def test_the_console_asks_for_secrets_again_too(scene: Scene, admin_client: Client) -> None:
    endpoint: Any = scene.hooks.endpoint
    endpoint.api_key_header, endpoint.api_key = "X-Key", "old-key"
    endpoint.save()
    EndpointHeader.objects.create(endpoint=endpoint, name="X-Tenant", is_secret=True, secret_value="s")
    url = reverse("admin:notifications_endpoint_change", args=[endpoint.pk])
    form = console_form.read(admin_client.get(url), "endpoint") | {"base_url": "https://thief.example.net"}
    page = admin_client.post(url, form)
    assert page.status_code == 200
    assert page.text.count("The host changes from receiver.example.test to thief.example.net.") == 2
    given = form | {"api_key": "new-key", "headers-0-value": "new"}
    assert admin_client.post(url, given).status_code == 302
    endpoint.refresh_from_db()
    assert (endpoint.api_key, endpoint.base_url) == ("new-key", "https://thief.example.net")


def test_an_operators_key_is_made_in_the_console(scene: Scene, admin_client: Client) -> None:
    url = reverse("admin:events_apikey_add")
    form = {"subscriber": scene.publisher.pk, "name": "desk", "scopes": ["config:read"]}
    assert "make it an operator&#x27;s key" in admin_client.post(url, form).text
    admin_client.post(url, form | {"is_operator": "on"})
    assert ApiKey.objects.get(name="desk").is_operator
