"""Mail through the API of Amazon SES, played by an HTTPS server that checks the signature."""

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifications.sinks.https_sink import HttpsSink
from notifications.transports.base import Message, Verdict
from notifications.transports.email import EmailTransport
from smtpprofiles.account import ProviderAccount
from smtpprofiles.probe import probe
from smtpprofiles.providers import Kind
from smtpprofiles.sigv4 import Sigv4

HOST = "email.eu-central-1.amazonaws.com"
ACCOUNT = ProviderAccount(
    kind=Kind.AMAZON_SES, key="AKIDEXAMPLE", secret="s3cret/key", token="s3ssion", region="eu-central-1",
    sender="billing@example.test", bounces_to="bounces@example.test", timeout_seconds=5,
)  # fmt: skip
BODY = (
    "From: billing@example.test\r\nTo: ada@example.com\r\nSubject: Hello\r\n"
    "Message-ID: <dlv_1@example.test>\r\nList-Unsubscribe: <https://billing.example.test/u/1/>\r\n\r\nHello\r\n"
)
MESSAGE = Message(id="dlv_1", body=BODY, recipient="ada@example.com")


def is_signed(request) -> bool:
    """Whether the signature is that of the account, made again from what arrived."""
    at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    given = {"Content-Type": request.headers["content-type"]} if "content-type" in request.headers else {}
    signer = Sigv4(
        key_id=ACCOUNT.key, secret=ACCOUNT.secret, token=ACCOUNT.token, region=ACCOUNT.region, service="ses"
    )
    made = signer.headers(
        request.method, f"https://{HOST}{request.path}", headers=given, body=request.body, at=at
    )
    return request.headers["authorization"] == made["Authorization"]


def told(status, name="", message="", **headers):
    fields = {"Content-Type": "application/json", "x-amzn-ErrorType": name} | headers
    return status, fields, json.dumps({"message": message}).encode()


@pytest.fixture
def ses(ca, ca_bundle, settings):
    def answer(request):
        if not is_signed(request):
            return told(
                403, "InvalidSignatureException", "The request signature we calculated does not match"
            )
        return 200, {"Content-Type": "application/json"}, b'{"MessageId": "ses-1"}'

    with HttpsSink(ca=ca, hosts=[HOST], script=answer) as sink:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [sink.connect_to(HOST)]
        yield sink


def send(account=ACCOUNT):
    transport = EmailTransport(account)
    outcome = transport.send(MESSAGE)
    transport.close()
    return outcome


def test_the_mail_goes_out_as_it_was_rendered_signed_and_with_our_message_id(ses):
    outcome = send()
    assert (outcome.verdict, outcome.status_code, outcome.provider_id) == (Verdict.DELIVERED, 200, "ses-1")
    [request] = ses.received
    assert (request.method, request.path) == ("POST", "/v2/email/outbound-emails")
    asked = json.loads(request.body)
    raw = b64decode(asked["Content"]["Raw"]["Data"]).decode()
    assert raw == f"X-Message-ID: <dlv_1@example.test>\r\n{BODY}"
    assert asked["Destination"] == {"ToAddresses": ["ada@example.com"]}
    assert asked["EmailTags"] == [{"Name": "delivery", "Value": "dlv_1"}]
    assert asked["FeedbackForwardingEmailAddress"] == "bounces@example.test"
    assert request.headers["x-amz-security-token"] == "s3ssion"
    for secret in (ACCOUNT.secret, ACCOUNT.token, "Signature="):
        assert secret not in repr(outcome)
        assert secret not in repr(ACCOUNT)


@pytest.mark.parametrize(
    ("answer", "verdict", "error_class"),
    [
        (told(400, "MessageRejected", "Local address contains control"), Verdict.REJECTED, "http_4xx"),
        (told(400, "BadRequestException:http://internal/"), Verdict.REJECTED, "http_4xx"),
        (
            told(400, "MessageRejected", "Email address is not verified: billing@example.test"),
            Verdict.BLOCKED,
            "provider",
        ),
        (told(400, "SendingPausedException"), Verdict.BLOCKED, "provider"),
        (told(400, "AccountSuspendedException"), Verdict.BLOCKED, "provider"),
        (told(403, "InvalidSignatureException"), Verdict.BLOCKED, "provider"),
        (told(403, "ExpiredTokenException"), Verdict.BLOCKED, "provider"),
        (told(404, "NotFoundException"), Verdict.BLOCKED, "provider"),
        (told(400, "LimitExceededException", "Daily quota exceeded"), Verdict.RETRY, "http_4xx"),
        (told(400, "ThrottlingException"), Verdict.RETRY, "http_4xx"),
        (told(429, "TooManyRequestsException", **{"Retry-After": "7"}), Verdict.RETRY, "http_4xx"),
        (told(500, "InternalFailure"), Verdict.RETRY, "http_5xx"),
        (told(200, "", "no id"), Verdict.UNKNOWN, "protocol"),
    ],
)
def test_an_answer_is_judged_by_what_amazon_calls_it(ses, answer, verdict, error_class):
    ses.script = lambda _: answer
    outcome = send()
    assert (outcome.verdict, outcome.error_class) == (verdict, error_class)
    wait = answer[1].get("Retry-After")
    assert outcome.retry_after == (timedelta(seconds=int(wait)) if wait else None)
    assert ses.count == 1


def test_a_wrong_secret_blocks_the_profile(ses):
    outcome = send(replace(ACCOUNT, secret="another"))
    assert (outcome.verdict, outcome.status_code) == (Verdict.BLOCKED, 403)
    assert "signature" in outcome.detail


def test_a_stalled_answer_is_unknown(ses):
    ses.script = lambda _: lambda sock: sock.recv(1)
    outcome = send(replace(ACCOUNT, timeout_seconds=0.5))
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "timeout")
    assert "It may have the mail." in outcome.detail


def test_the_address_guard_holds(ses, settings):
    settings.OUTBOUND_CONNECT_TO = []
    outcome = send(replace(ACCOUNT, url="https://localhost"))
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "address_refused")


def test_testing_the_profile_asks_for_the_account_signed(ses, settings):
    settings.OUTBOUND_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    found = probe(ACCOUNT, recipient="ada@example.com", message=BODY.encode())
    assert found.is_good, found
    assert [request.path for request in ses.received] == ["/v2/email/account", "/v2/email/outbound-emails"]
