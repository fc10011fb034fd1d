"""Parameters, payload templates, previews and downloads: the same in the console and the API."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from jsonschema import Draft202012Validator

from events.keys import create_key
from events.models import EventType, Scope
from events.publish import publish
from notifications.models import Endpoint, Parameter, Subscription
from tests import console_form, tables
from tests.factories import EndpointFactory, QueueFactory

SCOPES = [Scope.CONFIG_READ, Scope.CONFIG_WRITE, Scope.EVENTS_READ]
SECRET = "a-planted-secret"
ROW = {"name": "key", "source": "static", "value": SECRET, "is_secret": True}


@pytest.fixture
def types(db: None) -> dict[str, EventType]:
    tables.fill(tables.CATALOG)
    return {each.code: each for each in EventType.objects.all()}


@pytest.fixture
def endpoint(types: dict[str, EventType]) -> Endpoint:
    QueueFactory(name="everything")
    made: Any = EndpointFactory()
    return made


@pytest.fixture
def console(client: Client, admin_user: Any) -> Client:
    client.force_login(admin_user)
    return client


@pytest.fixture
def api(endpoint: Endpoint) -> Client:
    _, token = create_key(subscriber=endpoint.subscriber, name="portal", scopes=SCOPES)
    return Client(headers={"Authorization": f"Bearer {token}"})


def send(api: Client, method: str, path: str, body: Any) -> Any:
    return getattr(api, method)(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


def faults(response: Any) -> dict[str, str]:
    assert response.status_code == 400, response.content
    return {each["field"]: each["detail"] for each in response.json()["errors"]}


@pytest.fixture
def made(api: Client, endpoint: Endpoint) -> dict[str, Any]:
    """A subscription with a secret, made through the API."""
    body = {
        "subscriber": endpoint.subscriber_id, "name": "chat", "queue": "everything", "endpoint": endpoint.pk,
        "event_types": ["invoice.posted"], "parameters": [ROW],
        "payload_template": '{"text": "{{ invoice.number }}", "key": "{{ parameters.key }}", "event": {{ data }}}',
    }  # fmt: skip
    response = send(api, "post", "subscriptions/", body)
    assert response.status_code == 201, response.content
    assert SECRET not in response.text
    answer: dict[str, Any] = response.json()
    return answer


class TestApi:
    def test_a_secret_is_written_and_never_read(self, api: Client, made: dict[str, Any]) -> None:
        path = f"subscriptions/{made['id']}/"
        shown = api.get(f"/api/v1/{path}").json()["parameters"]
        assert shown == [ROW | {"value": "", "placement": "body", "if_missing": "empty", "default_value": ""}]
        with connection.cursor() as cursor:
            cursor.execute("SELECT value, secret FROM notifications_parameter")
            [(value, token)] = cursor.fetchall()
        assert (value, SECRET in token) == ("", False)

        # What was read can be sent back; an empty value keeps what is stored.
        kept = send(api, "patch", path, {"parameters": shown})
        assert kept.status_code == 200, kept.content
        assert Parameter.objects.get().secret == SECRET
        send(api, "patch", path, {"parameters": [ROW | {"value": "another-secret"}]})
        assert Parameter.objects.get().secret == "another-secret"
        bare = send(api, "patch", path, {"parameters": [shown[0] | {"is_secret": False}]})
        assert "/parameters/0/value" in faults(bare)

    @pytest.mark.parametrize(
        ("changes", "field", "fault"),
        [
            ({"payload_template": "{"}, "/payload_template", "it makes no JSON"),
            ({"parameters": []}, "/payload_template", "The parameters placed in the body: none yet."),
            ({"parameters": [ROW | {"name": "id"}]}, "/parameters", "The member id is set by the callout itself"),
            ({"parameters": [ROW | {"source": "data", "is_secret": False, "value": "service.x"}]}, "/parameters",
             "Objects to begin with: account, invoice."),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_refused_by_field(
        self, api: Client, made: dict[str, Any], changes: dict[str, Any], field: str, fault: str
    ) -> None:
        assert fault in faults(send(api, "patch", f"subscriptions/{made['id']}/", changes))[field]

    def test_a_preview_shows_what_would_be_sent_and_sends_nothing(
        self, api: Client, made: dict[str, Any], types: dict[str, EventType]
    ) -> None:
        asked = {"event_type": "invoice.posted", "subscription": made["id"]}
        shown = send(api, "post", "subscriptions/preview/", asked)
        assert shown.status_code == 200, shown.content
        sample = types["invoice.posted"].sample
        text = json.dumps(sample, ensure_ascii=False)
        assert (
            shown.json()["body"]
            == f'{{"text": "{sample["invoice"]["number"]}", "key": "****", "event": {text}}}'
        )
        assert [name for name, _ in shown.json()["headers"]] == ["bellwether-lane", "bellwether-sequence"]
        assert Subscription.objects.get().deliveries.count() == 0

    def test_a_draft_is_previewed_with_a_past_event(self, api: Client, types: dict[str, EventType]) -> None:
        data = '{"account": {"id": "7"}, "invoice": {"id": "9", "number": "INV-9", "total": 19.90}}'
        event = publish("invoice.posted", data, queue=None, ordering_key="account:7").event
        asked = {
            "event": event.public_id,
            "parameters": [
                {"name": "n", "source": "token", "value": "invoice.number", "placement": "query"},
                {
                    "name": "x-key",
                    "source": "static",
                    "value": SECRET,
                    "is_secret": True,
                    "placement": "header",
                },
            ],
        }
        shown = send(api, "post", "subscriptions/preview/", asked)
        assert shown.status_code == 200, shown.content
        assert f'"data": {data}, "parameters": {{}}' in shown.json()["body"]
        assert shown.json()["query"] == [["n", "INV-9"]]
        assert shown.json()["headers"][-1] == ["x-key", "****"]
        held = asked | {
            "parameters": [
                {"name": "pdf", "source": "token", "value": "invoice.pdf_url", "if_missing": "fail"}
            ]
        }
        assert (
            "no value in this event"
            in faults(send(api, "post", "subscriptions/preview/", held))["/parameters"]
        )

    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({}, "/event_type"),
            ({"event_type": "invoice.posted", "event": "evt_1"}, "/event_type"),
            ({"event": "evt_1"}, "/event"),
            (
                {"event_type": "invoice.posted", "payload_template": "{{ contact.email }}"},
                "/payload_template",
            ),
            ({"event_type": "invoice.posted", "templat": "x"}, "/templat"),
        ],
    )
    def test_a_preview_refuses_by_field(self, api: Client, asked: dict[str, Any], field: str) -> None:
        assert field in faults(send(api, "post", "subscriptions/preview/", asked))

    def test_a_past_event_is_shown_only_to_whoever_may_read_events(self, endpoint: Endpoint) -> None:
        _, token = create_key(subscriber=endpoint.subscriber, name="narrow", scopes=[Scope.CONFIG_READ])
        narrow = Client(headers={"Authorization": f"Bearer {token}"})
        assert send(narrow, "post", "subscriptions/preview/", {"event": "evt_1"}).status_code == 403
        assert (
            send(narrow, "post", "subscriptions/preview/", {"event_type": "invoice.posted"}).status_code
            == 200
        )

    def test_every_event_type_has_a_schema_and_a_sample_that_fits(
        self, api: Client, types: dict[str, EventType]
    ) -> None:
        own = EventType.objects.create(
            code="note.taken", label="Note taken", resource="note", operation="create", category="own",
            sample={"note": {"id": 1}},
            schema={"type": "object", "properties": {"note": {"$ref": "#/$defs/note"}},
                    "$defs": {"note": {"type": "object", "required": ["id"]}}},
        )  # fmt: skip
        for code in [*types, own.code]:
            described = api.get(f"/api/v1/event-types/{code}/").json()
            schema, sample = (api.get(described[name]) for name in ("callout_schema", "callout_sample"))
            assert schema["Content-Disposition"] == f'attachment; filename="{code}.schema.json"'
            Draft202012Validator.check_schema(schema.json())
            validator = Draft202012Validator(schema.json())
            assert list(validator.iter_errors(sample.json())) == []
            assert not validator.is_valid(sample.json() | {"type": "other.thing"})
        assert not validator.is_valid(sample.json() | {"data": {"note": {}}})
        assert api.get("/api/v1/event-types/none.such/schema.json").status_code == 404


class TestConsole:
    def change(self, console: Client, pk: int, **changes: Any) -> Any:
        url = reverse("admin:notifications_subscription_change", args=[pk])
        return console.post(url, console_form.read(console.get(url), "subscription", **changes))

    def test_a_secret_is_in_no_page_and_an_empty_field_keeps_it(
        self, console: Client, made: dict[str, Any]
    ) -> None:
        url = reverse("admin:notifications_subscription_change", args=[made["id"]])
        page = console.get(url)
        assert "stored; leave empty to keep it" in page.text
        assert SECRET not in page.text
        assert self.change(console, made["id"], name="other").status_code == 302
        assert Parameter.objects.get().secret == SECRET
        again = self.change(console, made["id"], **{"name": "", "parameters-0-value": "typed-and-not-saved"})
        assert again.status_code == 200
        assert "typed-and-not-saved" not in again.text
        assert self.change(console, made["id"], **{"parameters-0-value": "a-new-secret"}).status_code == 302
        assert Parameter.objects.get().secret == "a-new-secret"

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"payload_template": '{"a": {{ invoice.numbr }}}'}, "Did you mean “invoice.number”?"),
            ({"payload_template": '{"a": "{{ parameters.other }}"}'}, "placed in the body: parameters.key."),
            ({"parameters-0-name": "data"}, "The member data is set by the callout itself"),
            ({"parameters-0-if_missing": "default"}, "Write what is sent for an event without a value"),
        ],
    )
    def test_what_is_wrong_is_said_where_it_is(
        self, console: Client, made: dict[str, Any], changes: dict[str, Any], fault: str
    ) -> None:
        response = self.change(console, made["id"], **changes)
        assert response.status_code == 200
        assert fault in response.text

    def test_the_preview_shows_a_sample_or_a_past_event(
        self, console: Client, made: dict[str, Any], types: dict[str, EventType]
    ) -> None:
        url = reverse("admin:notifications_subscription_preview", args=[made["id"]])
        assert url in console.get(reverse("admin:notifications_subscription_change", args=[made["id"]])).text
        page = console.get(url)
        assert "the sample of invoice.posted" in page.text
        assert "&quot;key&quot;: &quot;****&quot;" in page.text
        event = publish("invoice.posted", types["invoice.posted"].sample | {"account": {"id": "ë"}}).event
        assert "ë" in console.get(url, {"event": event.public_id}).text
        assert "There is no such event" in console.get(url, {"event": "evt_7"}).text

    def test_an_event_type_offers_its_downloads(self, console: Client, types: dict[str, EventType]) -> None:
        row = types["invoice.posted"]
        page = console.get(reverse("admin:events_eventtype_change", args=[row.pk])).text
        for name in ("callout-schema", "callout-sample"):
            assert reverse(name, args=[row.code]) in page
            assert console.get(reverse(name, args=[row.code])).status_code == 200
