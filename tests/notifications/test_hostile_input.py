"""Input that no client means: it is refused by name, and never by an error of ours."""

import json

import pytest
from django.test import Client

from events.api.wire import MAX_BODY
from events.keys import create_key
from events.models import EventType, Queue, Scope, Subscriber
from notifications.models import Endpoint

pytestmark = pytest.mark.django_db
LISTS = [
    "endpoints", "subscriptions", "subscriptions/preview", "templates", "layouts", "partials", "queues",
    "subscribers", "grants", "suppressions", "triggers",
]  # fmt: skip


@pytest.fixture
def subscriber(db: None) -> Subscriber:
    return Subscriber.objects.create(name="Example Telecom")


@pytest.fixture
def api(subscriber: Subscriber) -> Client:
    _, token = create_key(subscriber=subscriber, name="portal", scopes=Scope.values)
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("path", LISTS)
def test_a_body_nested_too_deeply_is_refused(api: Client, path: str) -> None:
    for body in ("[" * 100_000, '{"name":' * 100_000):
        answer = api.post(f"/api/v1/{path}/", body, content_type="application/json")
        assert (answer.status_code, answer.json()["detail"][:26]) == (400, "The body is nested too dee")


def test_a_body_too_long_is_refused_with_a_problem(api: Client) -> None:
    body = json.dumps({"name": "x" * (MAX_BODY + 2_000_000)})
    answer = api.post("/api/v1/endpoints/", body, content_type="application/json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")


@pytest.mark.parametrize(
    "path", ["queues/a%00b/", "event-types/a%00b/", "event-types/a%00b/schema.json", "deliveries/a%00b/"]
)
def test_a_name_that_none_can_have_is_not_found(api: Client, path: str) -> None:
    assert api.get(f"/api/v1/{path}").status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("endpoints/?is_active=maybe", "/is_active"),
        ("queues/?is_paused=1", "/is_paused"),
        ("objects/?deleted=x", "/deleted"),
        ("suppressions/?released=no", "/released"),
        ("triggers/?is_active=on", "/is_active"),
        ("deliveries/?limit=x", "/limit"),
        ("events/?limit=0", "/limit"),
    ],
)
def test_a_query_parameter_that_cannot_be_read_is_refused(api: Client, query: str, field: str) -> None:
    answer = api.get(f"/api/v1/{query}")
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (400, [field])
    assert api.get("/api/v1/endpoints/?is_active=True&limit=500").status_code == 200


def test_what_is_there_already_is_told_of_a_field(api: Client, subscriber: Subscriber) -> None:
    Endpoint.objects.create(subscriber=subscriber, name="main", base_url="https://hooks.example.com")
    Queue.objects.create(name="billing")
    main = {"subscriber": subscriber.pk, "name": "main", "base_url": "https://hooks.example.com"}
    grant = {"subscriber": subscriber.pk, "queue": "billing", "can_create": True}
    bodies = [("endpoints", main), ("grants", grant), ("grants", grant)]
    answers = [api.post(f"/api/v1/{path}/", body, content_type="application/json") for path, body in bodies]
    assert [answer.status_code for answer in answers] == [400, 201, 400]
    assert [answers[at].json()["errors"][0]["field"] for at in (0, 2)] == ["/name", "/queue"]


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("{{ parameters.key | json }}", 200),
        ('"Key {{ parameters.key }}"', 200),
        ('"{{ parameters.key | upcase }}"', 400),
        ('"{{ parameters.key | slice: 0, 4 }}"', 400),
        ("{{ parameters.key | size }}", 400),
    ],
)
def test_a_payload_template_cannot_alter_a_secret_that_it_never_sees(
    api: Client, written: str, status: int
) -> None:
    EventType.objects.create(
        code="invoice.posted", label="Invoice", resource="invoice", operation="create", category="billing"
    )
    key = {"name": "key", "placement": "body", "source": "static", "value": "S3cret-text", "is_secret": True}
    draft = {
        "event_type": "invoice.posted",
        "payload_template": f'{{"key": {written}}}',
        "parameters": [key],
    }
    answer = api.post("/api/v1/subscriptions/preview/", draft, content_type="application/json")
    assert answer.status_code == status, answer.content
    if status == 400:
        assert answer.json()["errors"][0]["field"] == "/payload_template"
        assert "no filter or condition sees it" in answer.json()["detail"]
