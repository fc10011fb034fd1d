"""Testing a profile, against real servers: each step, the server's words, a remedy."""

from dataclasses import replace

import pytest
import trustme

from notifications.sinks.https_sink import HttpsSink
from notifications.sinks.smtp_sink import SmtpSink
from smtpprofiles.account import ProviderAccount, Security, SmtpAccount
from smtpprofiles.oauth import TokenGrant
from smtpprofiles.probe import probe
from tests.servers import MAIL_SERVER, PASSWORD, USERNAME
from tests.token_server import CLIENT_ID, CLIENT_SECRET, TOKEN_HOST, TOKEN_URL, TokenServer

ACCOUNT = SmtpAccount(
    host=MAIL_SERVER,
    port=587,
    security=Security.STARTTLS,
    username=USERNAME,
    password=PASSWORD,
    sender="billing@example.test",
    timeout_seconds=3,
)
MAIL = b"From: billing@example.test\r\nTo: ada@example.com\r\nSubject: Test\r\n\r\nText\r\n"
STARTTLS = ["Resolve", "Connect", "Greeting", "EHLO", "STARTTLS", "Certificate", "EHLO", "Login"]


def names(found):
    return [step.name for step in found.steps]


def test_every_step_is_shown_with_its_time_and_the_server_s_words(smtp_sink):
    found = probe(ACCOUNT, recipient="ada@example.com", message=MAIL)

    assert (names(found), found.is_good) == ([*STARTTLS, "Test mail"], True)
    said = {step.name: "\n".join(step.said) for step in found.steps}
    assert "S: 220" in said["Greeting"]
    assert "C: STARTTLS" in said["STARTTLS"]
    assert f"For {MAIL_SERVER}, by " in said["Certificate"]
    assert "TLSv1." in said["Certificate"]
    assert "C: AUTH" in said["Login"]
    assert "queued as 1" in said["Test mail"]
    assert smtp_sink.mails[0].recipients == ("ada@example.com",)
    assert PASSWORD not in repr(found)


def test_without_a_recipient_nothing_is_sent(smtp_sink):
    assert probe(ACCOUNT).is_good
    assert smtp_sink.count == 0


def test_tls_from_the_start_has_its_own_order_of_steps(ca, ca_bundle, settings):
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    with SmtpSink(ca=ca, host=MAIL_SERVER, implicit_tls=True, username=USERNAME, password=PASSWORD) as sink:
        settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:465=127.0.0.1:{sink.port}"]
        found = probe(replace(ACCOUNT, port=465, security=Security.TLS))
    assert (names(found), found.is_good) == (
        ["Resolve", "Connect", "Certificate", "Greeting", "EHLO", "Login"],
        True,
    )


@pytest.mark.parametrize(
    ("change", "reply", "last", "said", "remedy"),
    [
        ({"password": "wrong"}, {}, "Login", "535", "Enter user name and password again"),
        ({}, {"AUTH": "550 5.7.30 basic authentication is not supported"}, "Login", "5.7.30", "choose OAuth2"),
        ({}, {"MAIL": "553 5.7.1 not yours"}, "Test mail", "553", "an address that this login may send from"),
        ({}, {"RCPT": "550 5.1.1 no such user"}, "Test mail", "no such user", "try another address"),
        ({}, {"EHLO": "421 4.3.2 closing"}, "EHLO", "421", "Try again in some minutes"),
        ({"security": Security.TLS}, {}, "Certificate", "TLS failed", "587 with STARTTLS"),
    ],
)  # fmt: skip
def test_what_fails_comes_with_the_server_s_words_and_a_remedy(smtp_sink, change, reply, last, said, remedy):
    smtp_sink.script = lambda command, _: reply.get(command, "")
    found = probe(replace(ACCOUNT, **change), recipient="ada@example.com", message=MAIL)
    step = found.steps[-1]
    assert (step.name, step.status, found.is_good) == (last, "failed", False)
    assert said in "\n".join(step.said)
    assert remedy in step.remedy


@pytest.mark.parametrize(
    ("authority", "host", "remedy"),
    [
        ("other", MAIL_SERVER, "paste its certificate"),
        ("ours", "other.example.test", "as its certificate has it"),
    ],
)
def test_a_certificate_that_is_not_trusted_says_what_to_do(ca, ca_bundle, settings, authority, host, remedy):
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    with SmtpSink(ca=ca if authority == "ours" else trustme.CA(), host=host) as sink:
        settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:587=127.0.0.1:{sink.port}"]
        found = probe(ACCOUNT)
    assert (found.steps[-1].name, found.steps[-1].status) == ("Certificate", "failed")
    assert remedy in found.steps[-1].remedy


@pytest.mark.parametrize(
    ("host", "port", "step", "remedy"),
    [
        ("localhost", 25, "Address check", "SMTP_ALLOWED_NETWORKS"),
        ("127.0.0.1", 25, "Address check", "SMTP_ALLOWED_NETWORKS"),
        ("no-such-host.invalid", 25, "Resolve", "how the name is written"),
        (MAIL_SERVER, 26, "Connect", "Check the port, 26"),
    ],
)
def test_an_address_that_cannot_be_reached_fails_in_its_step(settings, host, port, step, remedy):
    settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:26=127.0.0.1:1"]
    found = probe(replace(ACCOUNT, host=host, port=port))
    assert (found.steps[-1].name, found.steps[-1].status) == (step, "failed")
    assert remedy in found.steps[-1].remedy


@pytest.mark.parametrize(("secret", "last"), [(CLIENT_SECRET, "Login"), ("wrong", "Access token")])
def test_the_token_is_a_step_of_its_own(ca, ca_bundle, settings, secret, last):
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    tokens = TokenServer()
    grant = TokenGrant(token_url=TOKEN_URL, client_id=CLIENT_ID, client_secret=secret, credentials_in="body")
    with (
        HttpsSink(ca=ca, hosts=[TOKEN_HOST], script=tokens.answer) as login,
        SmtpSink(ca=ca, host=MAIL_SERVER, username=USERNAME, token="token-1") as sink,
    ):
        settings.OUTBOUND_CONNECT_TO = [
            login.connect_to(TOKEN_HOST),
            f"{MAIL_SERVER}:587=127.0.0.1:{sink.port}",
        ]
        found = probe(replace(ACCOUNT, password="", grant=grant))
    assert (found.steps[-1].name, found.is_good) == (last, secret == CLIENT_SECRET)
    assert "Access token" in names(found)
    assert "token-1" not in repr(found)


@pytest.mark.parametrize(
    ("status", "is_good", "remedy"),
    [(200, True, ""), (401, False, "Enter the API key again"), (403, False, "send a test mail"),
     (404, False, "Check the sending domain"), (500, False, "says why above")],
)  # fmt: skip
def test_a_provider_is_asked_whether_it_knows_the_key(ca, ca_bundle, settings, status, is_good, remedy):
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    account = ProviderAccount(kind="mailgun", key="key-s3cret", domain="mg.example.test", timeout_seconds=3)
    with HttpsSink(ca=ca, hosts=["api.mailgun.net"], script=lambda _: (status, {}, b"key-s3cret?")) as api:
        settings.OUTBOUND_CONNECT_TO = [api.connect_to("api.mailgun.net")]
        found = probe(account)
    assert names(found) == ["Resolve", "Key"]
    assert found.is_good is is_good
    assert remedy in found.steps[-1].remedy
    assert [(request.method, request.path) for request in api.received] == [
        ("GET", "/v3/domains/mg.example.test")
    ]
    assert "key-s3cret" not in repr(found)
