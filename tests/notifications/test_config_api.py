"""The HTTP API of endpoints, subscriptions and deliveries."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from events.keys import create_key
from events.models import Event, EventType, Queue, Scope, Subscriber
from events.publish import publish
from notifications.models import (
    Attempt,
    AuditEntry,
    Channel,
    Circuit,
    Delivery,
    EmailTemplate,
    Endpoint,
    RenderedBody,
    Subscription,
)
from notifications.tasks import go_on

SCOPES = [Scope.CONFIG_READ, Scope.CONFIG_WRITE, Scope.DELIVERIES_READ, Scope.EVENTS_READ]


@pytest.fixture
def event_type(db: None) -> EventType:
    event_type = EventType.objects.create(
        code="invoice.posted",
        label="Invoice posted",
        resource="invoice",
        operation="create",
        category="billing",
    )
    for name, kind in (
        ("invoice.currency", "string"),
        ("invoice.total", "decimal"),
        ("contact.email", "string"),
    ):
        group = name.split(".")[0]
        event_type.tokens.create(name=name, group=group, kind=kind, email_only=group == "contact")
    Queue.objects.create(name="billing").event_types.add(event_type)
    return event_type


@pytest.fixture
def subscriber(event_type: EventType) -> Subscriber:
    return Subscriber.objects.create(name="Example Telecom")


@pytest.fixture
def api(subscriber: Subscriber) -> Client:
    _, token = create_key(subscriber=subscriber, name="portal", scopes=SCOPES)
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def endpoint(subscriber: Subscriber) -> Endpoint:
    return Endpoint.objects.create(subscriber=subscriber, name="main", base_url="https://hooks.example.com")


@pytest.fixture
def template(event_type: EventType) -> EmailTemplate:
    template = EmailTemplate.objects.create(name="Posted", subject="Hello", text="Hello")
    template.event_types.add(event_type)
    return template


def send(api: Client, method: str, path: str, body: Any) -> Any:
    return getattr(api, method)(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def faults(response: Any, status: int = 400) -> dict[str, str]:
    """What a problem document says, by field."""
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), (
        response.content
    )
    return {each["field"]: each["detail"] for each in json.loads(response.content)["errors"]}


class TestEndpoints:
    def test_the_secret_is_told_once(self, api: Client, subscriber: Subscriber) -> None:
        body = {
            "subscriber": subscriber.pk,
            "name": "main",
            "base_url": "https://Hooks.Example.com",
            "path": "/in",
        }
        made = send(api, "post", "endpoints/", body)

        assert made.status_code == 201, made.content
        answer = made.json()
        endpoint = Endpoint.objects.get()
        assert answer["secret"] == endpoint.secret
        assert answer["secret"].startswith("whsec_")
        assert made["Cache-Control"] == "no-store"
        assert answer["url"] == "https://hooks.example.com/in"
        path = f"endpoints/{endpoint.pk}/"
        for later in (
            api.get(f"/api/v1/{path}"),
            api.get("/api/v1/endpoints/"),
            send(api, "patch", path, {"name": "other"}),
        ):
            assert later.status_code == 200
            assert b"secret" not in later.content
        assert send(api, "patch", path, {"secret": "whsec_x"}).status_code == 400

    def test_every_change_is_recorded_with_the_key_that_made_it(
        self, api: Client, subscriber: Subscriber
    ) -> None:
        body = {"subscriber": subscriber.pk, "name": "main", "base_url": "https://hooks.example.com"}
        number = send(api, "post", "endpoints/", body).json()["id"]
        send(api, "patch", f"endpoints/{number}/", {"base_url": "https://other.example.com"})
        send(api, "patch", f"endpoints/{number}/", {"base_url": "nonsense"})
        api.delete(f"/api/v1/endpoints/{number}/")

        name = f"API key {subscriber.api_keys.get().prefix}"
        recorded = AuditEntry.objects.order_by("id").values_list("actor_name", "action", "subject", "reason")
        assert list(recorded) == [
            (name, "endpoint.create", f"endpoint {number}", ""),
            (name, "endpoint.update", f"endpoint {number}", "Given: base_url."),
            (name, "endpoint.delete", f"endpoint {number}", ""),
        ]

    @pytest.mark.parametrize(
        "base_url",
        [
            "http://hooks.example.com",
            "https://hooks.example.com:8443",
            "https://hooks.example.com:443",
            "https://hooks.example.com/" + "x" * 2023,
            "https://user@hooks.example.com",
        ],
    )
    def test_a_url_outside_the_rules_is_refused(
        self, api: Client, subscriber: Subscriber, endpoint: Endpoint, base_url: str
    ) -> None:
        body = {"subscriber": subscriber.pk, "name": "other", "base_url": base_url}
        assert faults(send(api, "post", "endpoints/", body)).keys() == {"/base_url"}
        change = send(api, "patch", f"endpoints/{endpoint.pk}/", {"base_url": base_url})
        assert faults(change).keys() == {"/base_url"}
        assert Endpoint.objects.get().base_url == "https://hooks.example.com"

    def test_a_name_is_used_once_per_subscriber(self, api: Client, endpoint: Endpoint) -> None:
        body = {"subscriber": endpoint.subscriber_id, "name": "main", "base_url": "https://example.com"}
        assert "already exists" in faults(send(api, "post", "endpoints/", body))["/name"]

    def test_one_in_use_is_not_deleted(self, api: Client, endpoint: Endpoint, event_type: EventType) -> None:
        subscription = Subscription.objects.create(
            subscriber=endpoint.subscriber, name="all", queue=Queue.objects.get(), endpoint=endpoint
        )
        path = f"/api/v1/endpoints/{endpoint.pk}/"
        refused = api.delete(path)
        assert (refused.status_code, refused["Content-Type"]) == (409, "application/problem+json")
        subscription.delete()
        assert api.delete(path).status_code == 204


class TestPausingAndResuming:
    @pytest.fixture
    def waiting(self, endpoint: Endpoint) -> Delivery:
        subscription = Subscription.objects.create(
            subscriber=endpoint.subscriber, name="all", queue=Queue.objects.get(), endpoint=endpoint
        )
        event = publish("invoice.posted", '{"total":19.90}', ordering_key="account:1001").event
        channel = Channel.objects.get(endpoint=endpoint, shard=0)
        return Delivery.objects.create(
            event=event, subscription=subscription, channel=channel, due_at=timezone.now()
        )

    def test_the_answers_tell_what_waits_and_who_did_it_is_recorded(
        self, api: Client, endpoint: Endpoint, waiting: Delivery
    ) -> None:
        waiting.refresh_from_db()
        path = f"endpoints/{endpoint.pk}/"
        paused = send(api, "post", f"{path}pause/", {"reason": "maintenance"})
        assert paused.status_code == 200, paused.content
        told = paused.json()
        oldest = told.pop("oldest")
        assert told == {"state": "paused", "deliveries": 1, "in_lanes": 0, "lanes": 0, "minutes": None}
        assert oldest.startswith(f"{waiting.created_at:%Y-%m-%dT%H:%M:%S}")
        assert Channel.objects.filter(is_paused=True).count() == 2
        assert api.get(f"/api/v1/{path}").json()["state"] == "paused"

        resumed = send(api, "post", f"{path}resume/", {"per_minute": 30, "reason": "done"}).json()
        assert (resumed["state"], resumed["deliveries"], resumed["minutes"]) == ("running", 1, 1)
        circuit = Circuit.objects.get(endpoint=endpoint)
        assert (circuit.backlog_left, circuit.backlog_per_minute) == (1, 30)
        assert not Channel.objects.filter(is_paused=True).exists()
        name = f"API key {endpoint.subscriber.api_keys.get().prefix}"
        recorded = AuditEntry.objects.order_by("id").values_list("actor_name", "action", "subject", "reason")
        assert list(recorded) == [
            (name, "endpoint.pause", f"endpoint {endpoint.pk}", "maintenance"),
            (name, "endpoint.resume", f"endpoint {endpoint.pk}", "At 30 a minute. done"),
        ]

    def test_what_is_in_use_already_is_left_as_it_is(self, api: Client, endpoint: Endpoint) -> None:
        Circuit.objects.update(backlog_left=7, backlog_per_minute=5)
        answer = send(api, "post", f"endpoints/{endpoint.pk}/resume/", {"per_minute": 30})
        assert (answer.status_code, answer.json()["minutes"]) == (200, None)
        assert Circuit.objects.get().backlog_left == 7
        assert not AuditEntry.objects.exists()

    def test_without_a_rate_it_goes_at_once(self, api: Client, endpoint: Endpoint) -> None:
        Endpoint.objects.update(paused_reason="HTTP 410")
        assert send(api, "post", f"endpoints/{endpoint.pk}/resume/", {}).json()["state"] == "running"
        assert Circuit.objects.get().backlog_per_minute is None

    @pytest.mark.parametrize("rate", [0, 600_001, "many", 1.5])
    def test_a_rate_at_fault_is_refused_at_its_member(
        self, api: Client, endpoint: Endpoint, rate: Any
    ) -> None:
        Endpoint.objects.update(is_active=False)
        refused = send(api, "post", f"endpoints/{endpoint.pk}/resume/", {"per_minute": rate})
        assert faults(refused).keys() == {"/per_minute"}
        assert not Endpoint.objects.get().is_active

    def test_a_misspelt_member_is_refused_rather_than_sent_at_full_speed(
        self, api: Client, endpoint: Endpoint
    ) -> None:
        Endpoint.objects.update(is_active=False)
        refused = send(api, "post", f"endpoints/{endpoint.pk}/resume/", {"per_minutes": 5})
        assert faults(refused).keys() == {"/per_minutes"}
        assert not Endpoint.objects.get().is_active

    def test_both_need_the_scope_and_staff_the_permission_to_change(
        self, subscriber: Subscriber, endpoint: Endpoint
    ) -> None:
        _, token = create_key(subscriber=subscriber, name="reader", scopes=[Scope.CONFIG_READ])
        reader = Client(headers={"Authorization": f"Bearer {token}"})
        staff = Client()
        user = get_user_model().objects.create_user("support", password="pw", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="add_endpoint"))
        staff.force_login(user)
        for client in (reader, staff):
            for verb in ("pause", "resume"):
                assert send(client, "post", f"endpoints/{endpoint.pk}/{verb}/", {}).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="change_endpoint"))
        assert send(staff, "post", f"endpoints/{endpoint.pk}/pause/", {}).status_code == 200
        assert send(staff, "post", "endpoints/0/pause/", {}).status_code == 404

    def test_limits_are_members_with_the_rules_of_the_admin(self, api: Client, endpoint: Endpoint) -> None:
        path = f"endpoints/{endpoint.pk}/"
        changed = send(api, "patch", path, {"rate_per_minute": 90, "max_in_flight": 3}).json()
        assert (changed["rate_per_minute"], changed["max_in_flight"], changed["state"]) == (90, 3, "running")
        at_fault = {"rate_per_minute": 0, "max_in_flight": 65}
        assert faults(send(api, "patch", path, at_fault)).keys() == {"/rate_per_minute", "/max_in_flight"}
        assert send(api, "patch", path, {"rate_per_minute": None}).json()["rate_per_minute"] is None

    def test_queues_and_subscriptions_pause_by_a_member(self, api: Client, waiting: Delivery) -> None:
        for path in ("queues/billing/", f"subscriptions/{waiting.subscription_id}/"):
            assert send(api, "patch", path, {"is_paused": True}).json()["is_paused"] is True
        Delivery.objects.update(status="held", hold_cause="paused", due_at=None)
        send(api, "patch", "queues/billing/", {"is_paused": False})
        send(api, "patch", f"subscriptions/{waiting.subscription_id}/", {"is_paused": False})
        assert OrmQ.objects.filter(key="default").count() == 2, "what was held goes on in the background"
        assert go_on() == 1
        assert Delivery.objects.get().status == "pending"

    def test_it_is_all_in_the_openapi_document(self, api: Client) -> None:
        paths = api.get("/api/v1/schema/", {"format": "json"}).json()["paths"]
        for verb in ("pause", "resume"):
            operation = paths[f"/api/v1/endpoints/{{id}}/{verb}/"]["post"]
            [answer] = operation["responses"].values()
            assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Backlog")


class TestSubscriptions:
    def test_a_webhook_with_parameters_and_filters(self, api: Client, endpoint: Endpoint) -> None:
        body: dict[str, Any] = {
            "subscriber": endpoint.subscriber_id,
            "name": "invoices",
            "queue": "billing",
            "event_types": ["invoice.posted"],
            "on_delete": False,
            "endpoint": endpoint.pk,
            "filters": [{"token": "invoice.currency", "operator": "is", "value": "EUR"}],
            "parameters": [
                {"name": "source", "source": "static", "value": "billing"},
                {"name": "total", "source": "token", "value": "invoice.total", "placement": "header"},
            ],
        }
        made = send(api, "post", "subscriptions/", body)

        assert made.status_code == 201, made.content
        answer = made.json()
        assert answer["event_types"] == ["invoice.posted"]
        assert answer["parameters"][0] == {
            "name": "source",
            "source": "static",
            "value": "billing",
            "is_secret": False,
            "placement": "body",
            "if_missing": "empty",
            "default_value": "",
        }
        subscription = Subscription.objects.get()
        assert subscription.operations == {"create", "update"}
        assert subscription.parameters.count() == 2
        path = f"subscriptions/{subscription.pk}/"
        assert api.get(f"/api/v1/{path}").json() == answer

        narrowed = send(api, "patch", path, {"filters": [{"token": "service.name", "value": "x"}]})
        assert "does not offer it" in faults(narrowed)["/filters"]
        changed = send(api, "patch", path, {"parameters": body["parameters"][:1], "is_active": False}).json()
        assert (len(changed["parameters"]), len(changed["filters"])) == (1, 1)
        assert subscription.parameters.get().name == "source"
        [last, first] = AuditEntry.objects.values_list("action", "subject", "reason")
        assert first == ("subscription.create", f"subscription {subscription.pk}", "")
        assert last == (
            "subscription.update", f"subscription {subscription.pk}", "Given: is_active, parameters."
        )  # fmt: skip

    def test_an_email_to_users_groups_addresses_and_tokens(
        self, api: Client, subscriber: Subscriber, template: EmailTemplate
    ) -> None:
        get_user_model().objects.create_user("ada", email="ada@example.com")
        Group.objects.create(name="Finance")
        recipients = [
            {"user": "ada"},
            {"group": "Finance"},
            {"address": "team@example.com"},
            {"token": "contact.email"},
        ]
        body = {
            "subscriber": subscriber.pk,
            "name": "mail",
            "queue": "billing",
            "email_template": template.pk,
            "recipients": recipients,
        }
        made = send(api, "post", "subscriptions/", body)
        assert made.status_code == 201, made.content
        empty: dict[str, Any] = {"user": None, "group": None, "address": "", "token": ""}
        assert made.json()["recipients"] == [empty | each for each in recipients]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"endpoint": None}, "/endpoint"),
            ({"queue": "none"}, "/queue"),
            ({"event_types": ["no.such"]}, "/event_types"),
            ({"on_create": False, "on_update": False, "on_delete": False}, "/on_create"),
            ({"on_failure": "panic"}, "/on_failure"),
            ({"colour": "red"}, "/colour"),
            (
                {"parameters": [{"name": "a", "value": "x"}, {"name": "1a", "value": "x"}]},
                "/parameters/1/name",
            ),
            ({"parameters": [{"name": "a", "value": "x"}] * 2}, "/parameters"),
            ({"parameters": [{"name": "a", "value": "service.name"}]}, "/parameters"),
            ({"parameters": [{"name": "a", "value": "contact.email"}]}, "/parameters"),
            ({"filters": [{"token": "service.name", "value": "x"}]}, "/filters"),
            ({"recipients": [{"address": "a@example.com"}]}, "/recipients"),
            ({"recipients": [{"address": "a@example.com", "token": "contact.email"}]}, "/recipients/0"),
            ({"filters": [{"token": "a.b", "operator": "like", "value": "x"}]}, "/filters/0/operator"),
        ],
    )
    def test_the_model_s_own_rules_are_told_by_field(
        self, api: Client, endpoint: Endpoint, change: dict[str, Any], field: str
    ) -> None:
        body = {
            "subscriber": endpoint.subscriber_id,
            "name": "invoices",
            "queue": "billing",
            "endpoint": endpoint.pk,
        }
        assert faults(send(api, "post", "subscriptions/", body | change)).keys() == {field}
        assert Subscription.objects.count() == 0

    def test_another_subscriber_s_endpoint_is_refused(self, api: Client, endpoint: Endpoint) -> None:
        other = Subscriber.objects.create(name="Other")
        body = {"subscriber": other.pk, "name": "x", "queue": "billing", "endpoint": endpoint.pk}
        assert "Example Telecom" in faults(send(api, "post", "subscriptions/", body))["/endpoint"]


class TestDeliveries:
    @pytest.fixture
    def delivery(self, endpoint: Endpoint) -> Delivery:
        subscription = Subscription.objects.create(
            subscriber=endpoint.subscriber, name="all", queue=Queue.objects.get(), endpoint=endpoint
        )
        event = publish("invoice.posted", '{"total":19.90}', ordering_key="account:1001").event
        channel, _ = Channel.objects.get_or_create(endpoint=endpoint, shard=0)
        delivery = Delivery.objects.create(
            event=event, subscription=subscription, channel=channel, due_at=timezone.now()
        )
        delivery.refresh_from_db()
        for number, status_code in ((1, 500), (2, 503)):
            Attempt.objects.create(
                delivery=delivery,
                number=number,
                verdict=Attempt.Verdict.RETRY,
                status_code=status_code,
                duration_ms=12,
                worker="host:1",
                epoch=1,
                started_at=timezone.now(),
            )
        RenderedBody.objects.create(
            delivery=delivery, delivery_created_at=delivery.created_at, body='{"total":19.90}'
        )
        return delivery

    def test_one_is_read_with_its_attempts_and_its_body(self, api: Client, delivery: Delivery) -> None:
        answer = api.get(f"/api/v1/deliveries/{delivery.public_id}/").json()

        assert answer["event"] == delivery.event.public_id
        assert answer["event_type"] == "invoice.posted"
        assert [each["status_code"] for each in answer["attempts"]] == [500, 503]
        assert answer["rendered"] == {"body": '{"total":19.90}', "headers": [], "query": []}
        assert api.get("/api/v1/deliveries/dlv_00/").status_code == 404

    def test_an_event_tells_its_deliveries(self, api: Client, delivery: Delivery) -> None:
        response = api.get(f"/api/v1/events/{delivery.event.public_id}/")
        assert b'"data":{"total":19.90}' in response.content
        [told] = response.json()["deliveries"]
        assert (told["id"], told["status"]) == (delivery.public_id, "pending")

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("", 1),
            ("status=pending&status=retrying", 1),
            ("status=dead", 0),
            ("event={event}", 1),
            ("event=evt_x", 0),
            ("subscription={subscription}", 1),
            ("endpoint=0", 0),
            ("recipient=a@example.com", 0),
            ("ordering_key=account:1001", 1),
            ("created_before=2001-01-01T00:00:00Z", 0),
        ],
    )
    def test_they_are_filtered(self, api: Client, delivery: Delivery, query: str, count: int) -> None:
        text = query.format(event=delivery.event.public_id, subscription=delivery.subscription_id)
        assert len(api.get(f"/api/v1/deliveries/?{text}").json()["results"]) == count

    def test_a_list_is_one_statement(
        self, api: Client, delivery: Delivery, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        api.get("/api/v1/deliveries/")
        with django_assert_num_queries(1):
            api.get("/api/v1/deliveries/")

    def test_the_scope_is_needed(self, api: Client, subscriber: Subscriber) -> None:
        _, token = create_key(subscriber=subscriber, name="publisher", scopes=[Scope.EVENTS_CREATE])
        publisher = Client(headers={"Authorization": f"Bearer {token}"})
        for path in ("deliveries/", "endpoints/", "subscriptions/"):
            assert publisher.get(f"/api/v1/{path}").status_code == 403
        assert Event.objects.count() == 0
