"""Mail through providers' APIs, each played by an HTTPS server on this machine."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from notifications.sinks.https_sink import HttpsSink, reset
from notifications.transports.base import Message, Verdict
from notifications.transports.email import EmailTransport
from smtpprofiles.account import ProviderAccount
from smtpprofiles.providers import PROVIDERS, Kind
from tests.connect_proxy import ConnectProxy

KEY = "key-s3cret"
BODY = (
    "Subject: Rechnung =?utf-8?q?f=C3=BCr?= Ada\r\nFrom: Example Telecom <billing@example.test>\r\n"
    "To: ada@example.com\r\nReply-To: help@example.test\r\nDate: Mon, 23 Nov 2026 01:00:00 +0000\r\n"
    "Message-ID: <dlv_1@example.test>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    '--b\r\nContent-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    "Gr=C3=BC=C3=9Fe\r\n"
    '--b\r\nContent-Type: text/html; charset="utf-8"\r\n\r\n<p>Hello</p>\r\n--b--\r\n'
)
MESSAGE = Message(id="dlv_1", body=BODY, recipient="ada@example.com")
TO = "ada@example.com"
# What each answers to a mail that it takes, and what it calls that.
TAKEN = {
    Kind.MAILGUN: (200, {"id": "<mg-1@mg.example.test>", "message": "Queued. Thank you."}, "mg-1@mg.example.test"),
    Kind.POSTMARK: (200, {"To": TO, "MessageID": "pm-1", "ErrorCode": 0, "Message": "OK"}, "pm-1"),
    Kind.BREVO: (201, {"messageId": "<br-1@relay.example>"}, "br-1@relay.example"),
    Kind.RESEND: (200, {"id": "re-1"}, "re-1"),
    Kind.SPARKPOST: (
        200,
        {"results": {"total_rejected_recipients": 0, "total_accepted_recipients": 1, "id": "sp-1"}},
        "sp-1",
    ),
    Kind.MAILJET: (
        200,
        {"Messages": [{"Status": "success", "To": [{"Email": TO, "MessageID": 456, "MessageUUID": "u"}]}]},
        "456",
    ),
    Kind.SENDGRID: (202, {}, ""),  # it names none: anymail gives one
    Kind.AMAZON_SES: (200, {"MessageId": "ses-1"}, "ses-1"),
}  # fmt: skip


@pytest.fixture
def api(ca, ca_bundle, settings) -> Iterator[HttpsSink]:
    """All of the providers, at their own names."""
    hosts = [
        urlsplit(provider.url.format(region="eu-central-1")).hostname or "" for provider in PROVIDERS.values()
    ]
    with HttpsSink(ca=ca, hosts=hosts) as sink:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [sink.connect_to(host) for host in hosts]
        yield sink


def account(kind: Kind, **changes) -> ProviderAccount:
    found = ProviderAccount(
        kind=kind,
        key=KEY,
        secret="second-s3cret" if PROVIDERS[kind].secret else "",
        domain="mg.example.test" if kind is Kind.MAILGUN else "",
        region="eu-central-1" if kind is Kind.AMAZON_SES else "",
        sender="billing@example.test",
        timeout_seconds=5,
    )
    return replace(found, **changes)


def answering(status: int, body: object = None, **headers: str):
    content = b"" if body is None else json.dumps(body).encode()
    fields = {"Content-Type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: (status, fields, content)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_mail_is_taken_and_what_the_provider_calls_it_is_kept(api, kind):
    status, body, known_as = TAKEN[kind]
    api.script = answering(status, body or None)
    transport = EmailTransport(account(kind))

    outcomes = [transport.send(MESSAGE) for _ in range(2)]
    transport.close()

    for outcome in outcomes:
        assert (outcome.verdict, outcome.status_code, outcome.error_class) == (Verdict.DELIVERED, status, "")
        assert outcome.provider_id == known_as or (len(outcome.provider_id) == 36 and not known_as)
        assert PROVIDERS[kind].label in outcome.detail
        assert outcome.address == f"127.0.0.1:{api.port}"
    first, second = api.received
    assert first.connection == second.connection, "the backend and its connection are used again"
    if kind is not Kind.SENDGRID:
        assert first.body == second.body
    said = first.body.decode()
    if kind is Kind.AMAZON_SES:
        said += b64decode(json.loads(said)["Content"]["Raw"]["Data"]).decode()
    for part in ("ada@example.com", "billing@example.test", "dlv_1@example.test", "help@example.test"):
        assert part in said.replace("%40", "@"), part
    assert first.headers["idempotency-key"] == "<dlv_1@example.test>"
    assert KEY not in outcomes[0].response_body + outcomes[0].detail


def test_the_parts_of_the_mail_arrive_as_they_were_rendered(api):
    api.script = answering(*TAKEN[Kind.POSTMARK][:2])
    transport = EmailTransport(account(Kind.POSTMARK))
    transport.send(MESSAGE)
    transport.close()
    sent = json.loads(api.received[0].body)
    assert (sent["Subject"], sent["TextBody"].strip(), sent["HtmlBody"].strip()) == (
        "Rechnung für Ada",
        "Grüße",
        "<p>Hello</p>",
    )
    assert sent["From"] == "Example Telecom <billing@example.test>"
    headers = {header["Name"]: header["Value"] for header in sent["Headers"]}
    assert headers == {
        "Message-ID": "<dlv_1@example.test>",
        "X-PM-KeepID": "true",
        "Auto-Submitted": "auto-generated",
    }
    assert sent["Metadata"] == {"delivery": "dlv_1"}
    assert api.received[0].headers["x-postmark-server-token"] == KEY


CASES = [
    (400, {}, Verdict.REJECTED, "http_4xx"),
    (401, {}, Verdict.BLOCKED, "provider"),
    (403, {}, Verdict.BLOCKED, "provider"),
    (429, {"Retry_After": "7"}, Verdict.RETRY, "http_4xx"),
    (500, {}, Verdict.RETRY, "http_5xx"),
    (503, {"Retry_After": "9"}, Verdict.RETRY, "http_5xx"),
    (301, {"Location": "https://169.254.169.254/"}, Verdict.BLOCKED, "provider"),
]


@pytest.mark.parametrize("kind", [Kind.MAILGUN, Kind.POSTMARK, Kind.BREVO, Kind.RESEND])
@pytest.mark.parametrize(("status", "headers", "verdict", "error_class"), CASES)
def test_a_refusal_is_judged_by_its_status(api, kind, status, headers, verdict, error_class):
    api.script = answering(status, {"message": f"no, with {KEY}"}, **headers)
    transport = EmailTransport(account(kind))

    outcome = transport.send(MESSAGE)
    transport.close()

    assert (outcome.verdict, outcome.status_code, outcome.error_class) == (verdict, status, error_class)
    wait = headers.get("Retry_After")
    assert outcome.retry_after == (timedelta(seconds=int(wait)) if wait else None)
    assert "no, with ****" in outcome.response_body
    assert KEY not in repr(outcome)
    assert api.count == 1


@pytest.mark.parametrize("kind", [Kind.MAILGUN, Kind.POSTMARK, Kind.RESEND])
@pytest.mark.parametrize(
    ("fault", "error_class"),
    [("stall", "timeout"), ("drip", "timeout"), ("reset", "reset"), ("junk", "protocol")],
)
def test_an_answer_that_does_not_come_is_unknown(api, kind, fault, error_class):
    def drip(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            sock.sendall(b"x")
            time.sleep(0.05)

    scripts = {
        "stall": lambda _: lambda sock: time.sleep(1.5),
        "drip": lambda _: drip,
        "reset": lambda _: reset,
        "junk": answering(200, "not what it documents"),
    }
    api.script = scripts[fault]
    transport = EmailTransport(account(kind, timeout_seconds=0.7))

    outcome = transport.send(MESSAGE)
    transport.close()

    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, error_class)
    assert "may have" in outcome.detail
    assert outcome.duration < timedelta(seconds=1.4)


def test_a_recipient_that_the_provider_refuses_is_rejected(api):
    answer = {
        "ErrorCode": 406,
        "Message": "You tried to send to recipients that have been marked as inactive.",
    }
    api.script = answering(422, answer)
    outcome = EmailTransport(account(Kind.POSTMARK)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class, outcome.status_code) == (Verdict.REJECTED, "recipient", 422)
    assert "marked as inactive" in outcome.response_body


@pytest.mark.parametrize(
    ("url", "verdict", "error_class"),
    [
        ("https://localhost/", Verdict.BLOCKED, "address_refused"),
        ("https://169.254.169.254/v3", Verdict.BLOCKED, "address_refused"),
    ],
)
def test_the_address_guard_holds_for_providers_too(api, url, verdict, error_class):
    outcome = EmailTransport(account(Kind.RESEND, url=url)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (verdict, error_class)
    assert api.count == 0


def test_providers_are_reached_through_the_proxy_by_vetted_addresses(api, settings):
    with ConnectProxy() as proxy:
        settings.OUTBOUND_PROXY = proxy.url
        api.script = answering(*TAKEN[Kind.RESEND][:2])
        taken = EmailTransport(account(Kind.RESEND)).send(MESSAGE)
        refused = EmailTransport(account(Kind.RESEND, url="https://169.254.169.254/")).send(MESSAGE)
        asked = list(proxy.asked)
    where = f"127.0.0.1:{api.port}"
    assert (taken.verdict, taken.address) == (Verdict.DELIVERED, where)
    assert asked == [[f"CONNECT {where} HTTP/1.1", f"Host: {where}"]]
    assert (refused.verdict, refused.error_class) == (Verdict.BLOCKED, "address_refused")


def test_a_proxy_that_refuses_is_no_connection(api, settings):
    with ConnectProxy(status="407 Proxy Authentication Required") as proxy:
        settings.OUTBOUND_PROXY = proxy.url
        outcome = EmailTransport(account(Kind.RESEND)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "connect")
    assert "answered 407" in outcome.detail
    assert api.count == 0


def test_a_certificate_of_another_name_blocks_the_channel(api, settings):
    settings.OUTBOUND_CONNECT_TO = [f"api.other.example:443=127.0.0.1:{api.port}"]
    outcome = EmailTransport(account(Kind.RESEND, url="https://api.other.example/")).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "tls")
    assert "not trusted" in outcome.detail
    assert api.count == 0


def test_a_refused_connection_is_tried_again(api, settings):
    settings.OUTBOUND_CONNECT_TO = ["api.resend.com:443=127.0.0.1:1"]
    outcome = EmailTransport(account(Kind.RESEND)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "connect")
