"""The HTTP API of endpoints, subscriptions and deliveries."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from events.keys import create_key
from events.models import Event, EventType, Queue, Scope, Subscriber
from events.publish import publish
from notifications.models import (
    Attempt,
    AuditEntry,
    Channel,
    Delivery,
    EmailTemplate,
    Endpoint,
    RenderedBody,
    Subscription,
)

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
        assert "already exists" in faults(send(api, "post", "endpoints/", body))[""]

    def test_one_in_use_is_not_deleted(self, api: Client, endpoint: Endpoint, event_type: EventType) -> None:
        subscription = Subscription.objects.create(
            subscriber=endpoint.subscriber, name="all", queue=Queue.objects.get(), endpoint=endpoint
        )
        path = f"/api/v1/endpoints/{endpoint.pk}/"
        refused = api.delete(path)
        assert (refused.status_code, refused["Content-Type"]) == (409, "application/problem+json")
        subscription.delete()
        assert api.delete(path).status_code == 204


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
            "placement": "body",
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
