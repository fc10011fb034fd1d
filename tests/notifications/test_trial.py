"""Testing and checking an endpoint: through the console and the API, against a real receiver."""

import json
import socket
import time
from typing import Any

import pytest
import trustme
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from standardwebhooks import Webhook, WebhookVerificationError

from events.keys import create_key
from events.models import Event, EventType, Scope
from events.publish import publish
from notifications import forgery
from notifications.models import Attempt, AuditEntry, Circuit, Delivery, Endpoint
from notifications.sinks.https_sink import HttpsSink
from tests.factories import EndpointFactory, QueueFactory, WebhookSubscriptionFactory
from tests.servers import RECEIVER


@pytest.fixture
def event_type(db: None) -> EventType:
    return EventType.objects.create(
        code="invoice.posted",
        label="Invoice posted",
        resource="invoice",
        operation="create",
        category="billing",
        sample={"invoice": {"number": "INV-7", "total": "19.90"}},
    )


@pytest.fixture
def endpoint(event_type: EventType) -> Any:
    return EndpointFactory(timeout_seconds=5)


@pytest.fixture
def api(endpoint: Endpoint) -> Client:
    scopes = [Scope.CONFIG_WRITE, Scope.EVENTS_READ]
    _, token = create_key(subscriber=endpoint.subscriber, name="portal", scopes=scopes)
    return Client(headers={"Authorization": f"Bearer {token}"})


def ask(api: Client, endpoint: Endpoint, name: str, **members: Any) -> Any:
    path = f"/api/v1/endpoints/{endpoint.pk}/{name}/"
    return api.post(path, json.dumps(members), content_type="application/json")


def states(answer: Any) -> str:
    return " ".join(f"{step['name']}:{step['state']}" for step in answer.json()["steps"])


def test_a_test_goes_out_signed_and_marked_and_is_no_delivery(api, endpoint, https_receiver):
    https_receiver.script = lambda _: (202, {"X-Said": "thanks"}, b"taken")

    answer = ask(api, endpoint, "test", event_type="invoice.posted")

    found = answer.json()
    assert answer.status_code == 200, found
    assert (found["is_accepted"], found["verdict"], found["remedy"]) == (
        True,
        "They accepted it with 202.",
        "",
    )
    assert states(answer) == "resolve:done check:done connect:done tls:done request:done response:done"
    assert all(step["milliseconds"] is not None for step in found["steps"])
    [request] = https_receiver.received
    assert Webhook(endpoint.secret).verify(request.body, request.headers)
    assert request.headers["bellwether-test"] == "true"
    assert request.headers["webhook-id"] == found["webhook_id"]
    assert found["webhook_id"].startswith("tst_")
    assert json.loads(request.body)["data"] == {"invoice": {"number": "INV-7", "total": "19.90"}}
    assert found["request"]["body"] == request.body.decode()
    assert found["request"]["headers"].startswith(f"POST /hook HTTP/1.1\nHost: {RECEIVER}\n")
    assert request.headers["webhook-signature"] not in answer.content.decode()
    assert found["response"] == {"headers": "X-Said: thanks\nContent-Length: 5", "body": "taken"}
    assert (Delivery.objects.count(), Event.objects.count(), Attempt.objects.count()) == (0, 0, 0)
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.subject) == ("endpoint.test", f"endpoint {endpoint.pk}")
    assert entry.reason == "With the sample of invoice.posted."


def test_a_past_event_is_sent_as_its_subscription_sends_it(api, endpoint, https_receiver):
    subscription = WebhookSubscriptionFactory(
        endpoint=endpoint, queue=QueueFactory(name="billing", is_ordered=False)
    )
    subscription.parameters.create(name="tenant", source="static", value="7", placement="query")
    event = publish("invoice.posted", '{"amount":19.90,"z":1,"a":"ë€"}', queue="billing").event

    found = ask(api, endpoint, "test", event=event.public_id, subscription=subscription.pk).json()

    assert found["url"] == f"https://{RECEIVER}/hook?tenant=7"
    [request] = https_receiver.received
    assert b'"data": {"amount":19.90,"z":1,"a":"\xc3\xab\xe2\x82\xac"}' in request.body
    assert json.loads(request.body)["id"] == event.public_id
    assert json.loads(request.body)["queue"] == "billing"


WRONG = [
    (
        (301, {"Location": "/hook/"}, b""),
        "with another ending",
        f"Change the URL to https://{RECEIVER}/hook/.",
    ),
    (
        (302, {"Location": "https://w.example.test/h"}, b""),
        "another host",
        "to https://w.example.test/h.",
    ),
    ((302, {"Location": "http://w.example.test/h"}, b""), "redirects to plain http", "https only"),
    ((302, {"Location": "/login?next=/hook"}, b""), "a page for logging in", "exempts this path"),
    ((307, {}, b""), "without saying where to", "200 or 204"),
    ((302, {"Location": "https://[oops"}, b""), "which is no URL", "mends that redirect"),
    ((400, {}, b""), "answered 400", "compare the body"),
    ((401, {}, b""), "signature or credentials", "raw body"),
    ((403, {}, b""), "forbid it", "firewall"),
    ((404, {}, b""), "nothing at this path", "correct it"),
    ((405, {}, b""), "takes no POST", "accepts POST"),
    ((410, {}, b""), "no more callouts", "new URL"),
    ((415, {}, b""), "another content type", "application/json"),
    ((418, {}, b""), "only 2xx means", "200 or 204"),
    ((429, {}, b""), "more than they want", "rate limit"),
    ((500, {}, b""), "Their code failed", "in its log"),
    ((502, {}, b""), "Their proxy got no answer", "start it"),
    ((700, {}, b""), "not proper HTTP", "HTTP/1.1"),
]


def test_what_is_wrong_with_an_answer_is_told_with_its_remedy(api, endpoint, https_receiver):
    for answer, verdict, remedy in WRONG:
        https_receiver.script = lambda _, answer=answer: answer
        response = ask(api, endpoint, "test")
        found = response.json()
        assert verdict in found["verdict"], found
        assert remedy in found["remedy"], found
        assert found["is_accepted"] is False
        assert states(response).endswith("request:done response:failed")
    assert https_receiver.count == len(WRONG)
    assert not Circuit.objects.filter(failures__gt=0).exists()


def test_how_far_it_came_is_told_where_no_answer_came(api, endpoint, https_receiver, ca, settings):
    def try_at(connect_to: str, **changes: Any) -> tuple[str, str, str]:
        settings.OUTBOUND_CONNECT_TO = [connect_to] if connect_to else []
        Endpoint.objects.filter(pk=endpoint.pk).update(timeout_seconds=1, **changes)
        answer = ask(api, endpoint, "test")
        found = answer.json()
        return states(answer).replace("_", " "), found["verdict"], found["remedy"]

    port = f"{RECEIVER}:443=127.0.0.1"
    base, local = f"https://{RECEIVER}", "https://localhost"
    assert try_at("", base_url="https://nowhere.invalid") == (
        "resolve:failed check:not reached connect:not reached tls:not reached request:not reached "
        "response:not reached",
        "The host name leads nowhere.",
        "Correct the host in the base URL, or the receiver publishes the name in the public DNS.",
    )
    steps, verdict, remedy = try_at("", base_url=local)
    assert steps.startswith("resolve:done check:failed connect:not reached")
    assert "not connected to" in verdict
    assert "OUTBOUND_ALLOWED_NETWORKS" in remedy
    steps, verdict, _ = try_at(f"{port}:1", base_url=base)
    assert steps.startswith("resolve:done check:done connect:failed tls:not reached")
    assert verdict == "Nobody takes connections there."
    with socket.create_server(("127.0.0.1", 0)) as stalling:
        steps, verdict, _ = try_at(f"{port}:{stalling.getsockname()[1]}")
    assert "connect:done tls:failed request:not reached" in steps
    assert verdict == "They took the connection and did not finish the TLS handshake in time."
    with HttpsSink(ca=trustme.CA(), hosts=[RECEIVER]) as other:
        steps, verdict, remedy = try_at(other.connect_to(RECEIVER))
    assert "connect:done tls:failed" in steps
    assert "not trusted here" in verdict
    assert "full chain" in remedy
    with HttpsSink(ca=ca, hosts=["other.example.test"]) as other:
        assert try_at(other.connect_to(RECEIVER))[1] == "Their certificate is for another name."
    https_receiver.script = lambda _: lambda _sock: time.sleep(1.5)
    steps, verdict, remedy = try_at(https_receiver.connect_to(RECEIVER))
    assert "request:done response:failed" in steps
    assert verdict == "They took the connection and did not answer in time."
    assert "works on it afterwards" in remedy


@pytest.mark.parametrize(
    ("members", "field", "words"),
    [
        ({"event_type": "invoice.psted"}, "event_type", "no active event type"),
        ({"event": "evt_nonsense"}, "event", "There is no event of this id"),
        ({"subscription": 12345}, "subscription", "no subscription that calls this endpoint"),
        ({"colour": "red"}, "colour", "Unknown member"),
    ],
)
def test_what_is_asked_wrong_is_refused_at_its_member(api, endpoint, https_receiver, members, field, words):
    answer = ask(api, endpoint, "test", **members)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["field"].strip("/") == field
    assert words in error["detail"]
    assert https_receiver.count == 0
    assert not AuditEntry.objects.exists()


def test_whoever_may_not_is_refused_and_nothing_is_sent(endpoint, https_receiver):
    def api(*scopes: str) -> Client:
        _, token = create_key(subscriber=endpoint.subscriber, name="portal", scopes=list(scopes))
        return Client(headers={"Authorization": f"Bearer {token}"})

    QueueFactory(name="billing", is_ordered=False)
    event = publish("invoice.posted", {}, queue="billing").event
    assert ask(api(Scope.CONFIG_READ), endpoint, "test").status_code == 403
    assert ask(api(Scope.CONFIG_READ), endpoint, "check").status_code == 403
    told = ask(api(Scope.CONFIG_WRITE), endpoint, "test", event=event.public_id)
    assert told.status_code == 403
    assert "events:read" in told.json()["detail"]
    viewer = get_user_model().objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_endpoint", "add_endpoint"]))
    console = Client()
    console.force_login(viewer)
    for name in ("test", "check"):
        page = f"/admin/notifications/endpoint/{endpoint.pk}/{name}/"
        assert console.get(page).status_code == 403
        assert console.post(page, {"event_type": "invoice.posted"}).status_code == 403
    assert https_receiver.count == 0
    assert not AuditEntry.objects.exists()


def test_an_endpoint_that_cannot_be_used_as_it_is_says_why(api, endpoint, https_receiver):
    Endpoint.objects.filter(pk=endpoint.pk).update(base_url=f"https://{RECEIVER}:444")
    answer = ask(api, endpoint, "test")
    assert answer.status_code == 409
    assert "No port may be written" in answer.json()["detail"]


def careful(endpoint: Endpoint, **faults: Any):
    """A receiver that verifies by another library; `faults` are what it gets wrong, by the name of the check."""
    seen: set[str] = set()

    def script(request):
        headers = dict(request.headers)
        message_id, is_new = headers["webhook-id"], headers["webhook-id"] not in seen
        try:
            Webhook(endpoint.secret).verify(request.body, headers)
        except WebhookVerificationError as error:
            said = str(error)
            kind = "expired" if "too old" in said else "unsigned" if "Missing" in said else "tampered"
            return faults.get(kind, (401, {}, b""))
        seen.add(message_id)
        if not is_new and "duplicate" in faults:
            return faults["duplicate"]
        if headers.get("bellwether-sequence") == "1" and "out_of_order" in faults:
            return faults["out_of_order"]
        if faults.get("first_only") and not headers["webhook-signature"].startswith("v1,"):
            return 500, {}, b""
        return faults.get("good", (204, {}, b""))

    return script


def grades(answer: Any) -> dict[str, str]:
    return {each["name"]: each["grade"] for each in answer.json()["findings"]}


def test_a_receiver_that_gets_everything_right_passes_every_check(api, endpoint, https_receiver):
    https_receiver.script = careful(endpoint)
    answer = ask(api, endpoint, "check", event_type="invoice.posted")
    assert answer.status_code == 200, answer.json()
    assert answer.json()["verdict"] == "The receiver got all 10 checks right.", answer.json()
    assert set(grades(answer).values()) == {"passed"}
    assert https_receiver.count == 10
    assert {request.headers["bellwether-test"] for request in https_receiver.received} == {"true"}
    assert len({request.headers["webhook-id"] for request in https_receiver.received}) == 9
    for request in https_receiver.received:
        json.loads(request.body)  # also what was tampered with
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
    assert [entry.action for entry in AuditEntry.objects.all()] == ["endpoint.check"]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({"tampered": (200, {}, b"")}, {"tampered": "failed", "wrong_key": "failed"}),
        ({"tampered": (500, {}, b"")}, {"tampered": "failed", "wrong_key": "failed"}),
        ({"unsigned": (200, {}, b"")}, {"unsigned": "failed"}),
        ({"expired": (200, {}, b"")}, {"expired": "failed"}),
        ({"expired": (429, {}, b"")}, {"expired": "unclear"}),
        ({"duplicate": (409, {}, b"")}, {"duplicate": "failed"}),
        ({"out_of_order": (400, {}, b"")}, {"out_of_order": "failed"}),
    ],
)
def test_what_a_receiver_gets_wrong_is_reported(api, endpoint, https_receiver, faults, expected):
    https_receiver.script = careful(endpoint, **faults)
    answer = ask(api, endpoint, "check")
    assert {name: grade for name, grade in grades(answer).items() if grade != "passed"} == expected


def test_nothing_more_is_sent_where_the_correct_request_is_refused(api, endpoint, https_receiver):
    https_receiver.script = lambda _: (403, {}, b"")
    answer = ask(api, endpoint, "check")
    assert grades(answer) == {"good": "failed"} | dict.fromkeys(list(grades(answer))[1:], "not_sent")
    assert https_receiver.count == 1


def test_a_check_ends_within_the_endpoints_time(api, endpoint, https_receiver):
    def slowly(request):
        time.sleep(0.75)
        return 204, {}, b""

    https_receiver.script = slowly
    Endpoint.objects.filter(pk=endpoint.pk).update(timeout_seconds=1)
    started = time.monotonic()
    answer = ask(api, endpoint, "check")
    assert time.monotonic() - started < 3
    assert grades(answer)["good"] == "passed"
    assert "not_sent" in grades(answer).values()


@pytest.mark.parametrize(
    "body", [b'{"id": "evt_' + b"0" * 32 + b'"}', b'{"a": "x"}', b'{"a": 1}', b'{"1": "\\u00e9", "b": 2}']
)
def test_what_is_tampered_with_stays_json_of_the_same_length(body):
    request = b"POST / HTTP/1.1\r\nwebhook-signature: v1,YQ==\r\n\r\n" + body
    changed = forgery.tampered(request)
    assert (len(changed), changed == request) == (len(request), False)
    assert json.loads(changed.partition(b"\r\n\r\n")[2]) != json.loads(body)


def test_the_console_tests_and_checks_by_its_buttons(admin_client, endpoint, https_receiver):
    https_receiver.script = careful(endpoint)
    subscription = WebhookSubscriptionFactory(endpoint=endpoint)
    page = admin_client.post(f"/admin/notifications/subscription/{subscription.pk}/do/send_test/")
    assert (
        page["Location"]
        == f"/admin/notifications/endpoint/{endpoint.pk}/test/?subscription={subscription.pk}"
    )
    form = admin_client.get(page["Location"]).content.decode()
    assert f'<option value="{subscription.pk}" selected>' in form
    assert "bellwether-test: true" in form
    assert https_receiver.count == 0

    told = admin_client.post(
        page["Location"], {"event_type": "invoice.posted", "subscription": subscription.pk}
    ).content.decode()
    assert "They accepted it with 204." in told
    assert "Every one of them" in told or "OUTBOUND_CONNECT_TO leads" in told
    assert https_receiver.count == 1

    page = admin_client.post(f"/admin/notifications/endpoint/{endpoint.pk}/do/check_receiver/")
    assert "ten real requests" in admin_client.get(page["Location"]).content.decode()
    told = admin_client.post(page["Location"], {"event_type": "invoice.posted"}).content.decode()
    assert "The receiver got all 10 checks right." in told
    assert https_receiver.count == 11
    assert endpoint.secret not in told


def test_secret_parameters_are_sent_and_shown_to_nobody(api, endpoint, https_receiver):
    https_receiver.script = lambda request: (200, {}, request.body)  # it repeats what it was told
    subscription = WebhookSubscriptionFactory(endpoint=endpoint)
    for placement in ("body", "header", "query"):
        subscription.parameters.create(
            name=f"key-{placement}",
            source="static",
            is_secret=True,
            secret=f"s3cret in {placement}",
            placement=placement,
        )
    answer = ask(api, endpoint, "test", subscription=subscription.pk)
    assert answer.json()["is_accepted"], answer.json()
    [sent] = https_receiver.received
    assert "s3cret in body" in sent.body.decode()
    assert "s3cret+in+query" in sent.path
    assert sent.headers["key-header"] == "s3cret in header"
    assert "s3cret" not in answer.content.decode()
    assert endpoint.secret not in answer.content.decode()
