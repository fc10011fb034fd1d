"""Logging in to mail servers with access tokens, against a real mail server and a real token server."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from notifications.sinks.https_sink import HttpsSink
from notifications.sinks.smtp_sink import SmtpSink
from notifications.transports.base import Message, Verdict
from notifications.transports.email import EmailTransport
from smtpprofiles import oauth, rotation
from smtpprofiles.account import Security, SmtpAccount
from smtpprofiles.oauth import TokenGrant
from tests.servers import MAIL_SERVER, USERNAME
from tests.token_server import CLIENT_ID, CLIENT_SECRET, TOKEN_HOST, TOKEN_URL, TokenServer, problem

TEXT = (
    "From: billing@example.test\r\nTo: ada@example.com\r\nMessage-ID: <dlv_1@example.test>\r\n\r\nHello\r\n"
)
MESSAGE = Message(id="dlv_1", body=TEXT, recipient="ada@example.com")
GRANT = TokenGrant(
    token_url=TOKEN_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, credentials_in="body"
)


@pytest.fixture
def tokens() -> TokenServer:
    return TokenServer()


@pytest.fixture
def server(ca, ca_bundle, settings, tokens) -> Iterator[SmtpSink]:
    """A mail server that takes the first token only."""
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    with (
        HttpsSink(ca=ca, hosts=[TOKEN_HOST], script=tokens.answer) as login,
        SmtpSink(ca=ca, host=MAIL_SERVER, username=USERNAME, token="token-1") as sink,
    ):
        settings.OUTBOUND_CONNECT_TO = [
            login.connect_to(TOKEN_HOST),
            f"{MAIL_SERVER}:587=127.0.0.1:{sink.port}",
        ]
        yield sink
    oauth.forget_all()
    rotation.take()


@pytest.fixture
def transport(server) -> Iterator[EmailTransport]:
    made = EmailTransport(account())
    yield made
    made.close()


def account(grant: TokenGrant = GRANT) -> SmtpAccount:
    return SmtpAccount(
        host=MAIL_SERVER, port=587, security=Security.STARTTLS, username=USERNAME, grant=grant,
        sender="billing@example.test", timeout_seconds=5,
    )  # fmt: skip


def test_a_good_token_logs_in_and_one_is_enough_for_many_mails(server, tokens, transport):
    outcomes = [transport.send(MESSAGE) for _ in range(3)]
    transport.close()
    outcomes.append(transport.send(MESSAGE))

    assert {outcome.verdict for outcome in outcomes} == {Verdict.DELIVERED}
    assert (server.count, server.connections, len(tokens.asked)) == (4, 2, 1)
    assert server.mails[0].username == USERNAME
    assert "C: AUTH XOAUTH2 ****" in outcomes[0].response_body
    assert "token-1" not in repr(outcomes)


def test_an_expired_token_is_replaced_once_and_the_mail_goes_out(server, tokens, transport):
    assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
    transport.close()
    server.token = "token-2"

    outcome = transport.send(MESSAGE)

    assert outcome.verdict is Verdict.DELIVERED
    assert "a new one was fetched" in outcome.response_body
    assert (server.count, len(tokens.asked)) == (2, 2)


def test_a_token_that_is_refused_even_when_new_blocks_the_profile(server, tokens, transport):
    server.token = "another"
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class, outcome.status_code) == (Verdict.BLOCKED, "smtp_auth", 535)
    assert (server.count, len(tokens.asked)) == (0, 2)
    assert "token-" not in repr(outcome)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (problem(400, "invalid_client", "wrong secret"), Verdict.BLOCKED),
        (problem(503, "temporarily_unavailable"), Verdict.RETRY),
    ],
)
def test_no_token_says_whether_it_is_the_profile_s_fault(server, tokens, transport, fault, verdict):
    tokens.fault = lambda _form: fault
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (verdict, "oauth")
    assert server.connections == 0
    assert CLIENT_SECRET not in repr(outcome)


def test_a_server_that_does_not_offer_it_blocks_the_profile(server, tokens, settings, ca):
    with SmtpSink(ca=ca, host=MAIL_SERVER, username=USERNAME, password="x") as plain:
        settings.OUTBOUND_CONNECT_TO[1] = f"{MAIL_SERVER}:587=127.0.0.1:{plain.port}"
        outcome = EmailTransport(account()).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "smtp_auth")
    assert "does not offer XOAUTH2" in outcome.detail
    assert "C: AUTH" not in outcome.response_body


@pytest.mark.django_db
def test_a_refresh_token_that_the_server_replaced_is_kept_for_the_profile(server, tokens):
    tokens.rotates = True
    transport = EmailTransport(account(replace(GRANT, refresh_token="refresh-0", owner=rotation.owner(7))))
    assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
    transport.close()
    assert rotation.take() == {7: "refresh-1"}
    assert rotation.take() == {}
