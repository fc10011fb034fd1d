import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme

from notifications.sinks.smtp_sink import DROP, SmtpSink
from notifications.transports.base import Message, Verdict
from notifications.transports.email import EmailTransport
from smtpprofiles import session
from smtpprofiles.account import Security, SmtpAccount
from tests.servers import MAIL_SERVER, PASSWORD, USERNAME

TEXT = (
    "From: Example Telecom <billing@example.test>\r\nTo: ada@example.com\r\nSubject: Invoice\r\n"
    "Message-ID: <dlv_1@example.test>\r\n\r\nYour invoice.\r\n"
)
MESSAGE = Message(id="dlv_1", body=TEXT, recipient="ada@example.com")


@pytest.fixture
def account():
    return SmtpAccount(
        host=MAIL_SERVER,
        port=587,
        security=Security.STARTTLS,
        username=USERNAME,
        password=PASSWORD,
        timeout_seconds=5,
    )


def over(account):
    return EmailTransport(replace(account, sender="billing@example.test"))


@pytest.fixture
def transport(account):
    return over(account)


def refuse(command, reply):
    return lambda said, _argument: reply if said == command else ""


# What a server says that it takes: a command at a time, several, the text with them.
OFFERS = ["", "PIPELINING", "PIPELINING CHUNKING"]


def offer(sink, offers):
    sink.pipelines, sink.chunks = "PIPELINING" in offers, "CHUNKING" in offers


def lead_here(settings, sink):
    settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:587=127.0.0.1:{sink.port}"]


def test_a_mail_goes_out_over_starttls_with_login(smtp_sink, transport):
    outcome = transport.send(MESSAGE)

    assert (outcome.verdict, outcome.status_code, outcome.error_class) == (Verdict.DELIVERED, 250, "")
    [mail] = smtp_sink.mails
    assert (mail.sender, mail.recipients) == ("billing@example.test", ("ada@example.com",))
    assert (mail.secured, mail.username) == (True, USERNAME)
    assert mail.content == TEXT.encode()
    assert mail.parsed()["Message-ID"] == "<dlv_1@example.test>"
    assert outcome.address == f"127.0.0.1:{smtp_sink.port}"
    assert "queued as 1" in outcome.detail


def test_the_transcript_shows_each_step_and_never_the_password(smtp_sink, transport, account):
    outcome = transport.send(MESSAGE)
    for step in ("C: STARTTLS", "C: AUTH", "C: MAIL FROM:<billing@example.test>", "C: DATA", "S: 250 2.0.0"):
        assert step in outcome.response_body
    assert PASSWORD not in outcome.response_body
    assert "Y29ycmVjdCBob3JzZQ" not in outcome.response_body  # the password in base64
    assert PASSWORD not in repr(account)
    assert PASSWORD not in repr(transport._account)


@pytest.mark.parametrize("login", [True, False])
def test_a_mail_goes_out_over_implicit_tls(ca, ca_bundle, settings, account, login):
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    user = {"username": USERNAME, "password": PASSWORD} if login else {}
    with SmtpSink(ca=ca, host=MAIL_SERVER, implicit_tls=True, **user) as sink:
        lead_here(settings, sink)
        plain = {} if login else {"username": "", "password": ""}
        transport = over(replace(account, security=Security.TLS, **plain))
        assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
        transport.close()
    assert sink.mails[0].secured


def test_a_mail_goes_out_unprotected_where_the_profile_says_so(settings, account):
    with SmtpSink() as sink:
        lead_here(settings, sink)
        transport = over(replace(account, security=Security.NONE, username="", password=""))
        assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
        transport.close()
    assert not sink.mails[0].secured


def test_a_global_email_login_never_leaks_into_a_profile(settings, account):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "global", "global"
    with SmtpSink() as sink:
        lead_here(settings, sink)
        transport = over(replace(account, security=Security.NONE, username="", password=""))
        outcome = transport.send(MESSAGE)
        transport.close()
    assert outcome.verdict is Verdict.DELIVERED
    assert "AUTH" not in outcome.response_body.replace("250 AUTH", "")


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize(
    ("command", "reply", "verdict", "error_class"),
    [
        ("EHLO", "421 4.3.2 closing", Verdict.RETRY, "smtp_4xx"),
        ("MAIL", "451 4.3.0 later", Verdict.RETRY, "smtp_4xx"),
        ("MAIL", "421 4.3.2 closing", Verdict.RETRY, "smtp_4xx"),
        ("MAIL", "553 5.7.1 not your address", Verdict.BLOCKED, "smtp_5xx"),
        ("MAIL", "552 5.3.4 too big", Verdict.REJECTED, "smtp_5xx"),
        ("MAIL", "530 5.7.0 log in first", Verdict.BLOCKED, "smtp_auth"),
        ("MAIL", "550 5.7.30 basic authentication is not supported", Verdict.BLOCKED, "smtp_auth"),
        ("RCPT", "450 4.2.1 greylisted", Verdict.RETRY, "smtp_4xx"),
        ("RCPT", "550 5.1.1 no such user", Verdict.REJECTED, "smtp_5xx"),
        ("DATA", "452 4.3.1 full", Verdict.RETRY, "smtp_4xx"),
        ("DATA", "554 5.7.1 spam", Verdict.REJECTED, "smtp_5xx"),
    ],
)
def test_a_refusal_is_judged_by_its_step_and_code(
    smtp_sink, transport, command, reply, verdict, error_class, offers
):
    offer(smtp_sink, offers)
    smtp_sink.script = refuse(command, reply)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (verdict, error_class)
    assert outcome.status_code == int(reply[:3])
    assert reply[4:] in outcome.detail
    assert reply[4:] in outcome.response_body
    assert smtp_sink.count == 0


def test_a_wrong_password_blocks_the_channel(smtp_sink, account):
    outcome = over(replace(account, password="wrong pass")).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class, outcome.status_code) == (Verdict.BLOCKED, "smtp_auth", 535)
    assert "wrong pass" not in outcome.response_body + outcome.detail
    assert smtp_sink.count == 0


def test_a_login_that_cannot_be_checked_now_is_tried_again(smtp_sink, transport):
    smtp_sink.script = refuse("AUTH", "454 4.7.0 temporary authentication failure")
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "smtp_4xx")


def test_a_password_outside_ascii_blocks_the_channel(smtp_sink, account):
    outcome = over(replace(account, password="pässword")).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "smtp_auth")
    assert "pässword" not in outcome.detail


def test_a_server_that_offers_no_login_blocks_the_channel(settings, account):
    with SmtpSink() as sink:
        lead_here(settings, sink)
        outcome = over(replace(account, security=Security.NONE)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "smtp_auth")


def test_a_server_without_starttls_blocks_the_channel_and_sees_no_password(settings, account):
    with SmtpSink(username=USERNAME, password=PASSWORD) as sink:
        lead_here(settings, sink)
        outcome = over(account).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "tls")
    assert "does not offer STARTTLS" in outcome.detail
    assert "C: AUTH" not in outcome.response_body


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("fault", ["authority", "name"])
def test_a_wrong_certificate_blocks_the_channel(ca, ca_bundle, settings, account, implicit, fault):
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    authority = trustme.CA() if fault == "authority" else ca
    name = "other.example.test" if fault == "name" else MAIL_SERVER
    with SmtpSink(ca=authority, host=name, implicit_tls=implicit) as sink:
        lead_here(settings, sink)
        security = Security.TLS if implicit else Security.STARTTLS
        outcome = over(replace(account, security=security)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "tls")
    assert "certificate is not trusted" in outcome.detail


def test_a_profile_with_its_own_ca_trusts_it(settings, account):
    private = trustme.CA()
    own = replace(account, ca_certificate=private.cert_pem.bytes().decode(), username="", password="")
    with SmtpSink(ca=private, host=MAIL_SERVER) as sink:
        lead_here(settings, sink)
        transport = over(own)
        assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
        transport.close()


def test_tls_towards_a_plain_port_blocks_the_channel(settings, account):
    with SmtpSink() as sink:
        lead_here(settings, sink)
        outcome = over(replace(account, security=Security.TLS)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "tls")
    assert "Check that port and security belong together" in outcome.detail


@pytest.mark.parametrize("offers", OFFERS[:2])
@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
def test_a_connection_lost_before_the_message_is_tried_again(smtp_sink, transport, command, offers):
    offer(smtp_sink, offers)
    smtp_sink.script = refuse(command, DROP)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "reset")
    assert "closed the connection" in outcome.detail


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_once_all_is_out_in_one_piece_may_have_delivered(smtp_sink, transport, command):
    offer(smtp_sink, OFFERS[2])
    smtp_sink.script = refuse(command, DROP)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "reset")
    assert "may have accepted it" in outcome.detail


@pytest.mark.parametrize("offers", OFFERS)
def test_a_connection_lost_after_the_message_may_have_delivered(smtp_sink, transport, offers):
    offer(smtp_sink, offers)
    smtp_sink.script = refuse("DATA", DROP)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "reset")
    assert "may have accepted it" in outcome.detail


def stall(at, seconds=1.2):
    def script(command, _argument):
        if command == at:
            time.sleep(seconds)
        return ""

    return script


@pytest.mark.parametrize(("command", "verdict"), [("RCPT", Verdict.RETRY), ("DATA", Verdict.UNKNOWN)])
def test_a_server_that_stalls_is_cut_at_the_deadline(smtp_sink, account, command, verdict):
    smtp_sink.script = stall(command)
    outcome = over(replace(account, timeout_seconds=0.5)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (verdict, "timeout")
    assert outcome.duration < timedelta(seconds=1)


def test_a_reply_that_drips_is_cut_at_the_deadline(settings, account):
    server = socket.create_server(("127.0.0.1", 0))
    settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:587=127.0.0.1:{server.getsockname()[1]}"]

    def drip():
        sock, _ = server.accept()
        with sock:
            for _ in range(100):
                try:
                    sock.sendall(b"220-wait\r\n")
                except OSError:
                    return
                time.sleep(0.05)

    thread = threading.Thread(target=drip)
    thread.start()
    outcome = over(replace(account, timeout_seconds=0.4)).send(MESSAGE)
    thread.join()
    server.close()
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "timeout")
    assert outcome.duration < timedelta(seconds=0.9)


def test_an_address_the_guard_forbids_blocks_the_channel(account):
    outcome = over(replace(account, host="localhost")).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.BLOCKED, "address_refused")
    assert "SMTP_ALLOWED_NETWORKS" in outcome.detail


def test_a_refused_connection_is_tried_again(settings, account):
    settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:587=127.0.0.1:1"]
    outcome = over(account).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "connect")


@pytest.mark.parametrize("offers", OFFERS)
def test_one_connection_serves_many_mails(smtp_sink, transport, offers):
    offer(smtp_sink, offers)
    for number in range(5):
        assert transport.send(replace(MESSAGE, id=f"dlv_{number}")).verdict is Verdict.DELIVERED
    assert {mail.connection for mail in smtp_sink.mails} == {smtp_sink.mails[0].connection}


@pytest.mark.parametrize("idle", ["closed", "closing", "old"])
def test_a_kept_connection_that_the_server_closes_for_idleness_costs_no_mail(
    smtp_sink, transport, monkeypatch, idle
):
    assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
    [conversation] = smtp_sink._controller._live
    if idle == "old":
        monkeypatch.setattr(session, "TRUSTED_SECONDS", 0.0)  # as after a pause: it is asked first
    else:
        # As it closes, with or without a word: nothing is said on it any more.
        loop = smtp_sink._controller.loop
        if idle == "closing":
            loop.call_soon_threadsafe(conversation.transport.write, b"421 4.4.2 idle for too long\r\n")
        loop.call_soon_threadsafe(conversation.transport.close)
        while smtp_sink._controller._live:
            time.sleep(0.01)

    outcome = transport.send(MESSAGE)

    assert outcome.verdict is Verdict.DELIVERED
    assert ("connecting anew" in outcome.response_body) is (idle != "old")
    assert ("C: noop" in outcome.response_body) is (idle == "old")
    assert smtp_sink.count == 2


def test_a_kept_connection_that_the_server_ended_is_replaced(smtp_sink, transport):
    transport.send(MESSAGE)
    port = smtp_sink.port
    smtp_sink.stop()
    with SmtpSink(
        ca=smtp_sink.ca, host=MAIL_SERVER, username=USERNAME, password=PASSWORD, port=port
    ) as again:
        outcome = transport.send(MESSAGE)
        transport.close()
    assert outcome.verdict is Verdict.DELIVERED
    assert "connecting anew" in outcome.response_body
    assert again.count == 1
    smtp_sink.start()


def test_a_connection_is_not_used_again_after_a_failure(smtp_sink, transport):
    transport.send(MESSAGE)
    smtp_sink.script = refuse("RCPT", "550 5.1.1 no such user")
    transport.send(MESSAGE)
    smtp_sink.script = refuse("", "")
    transport.send(MESSAGE)
    assert len({mail.connection for mail in smtp_sink.mails}) == 2


@pytest.mark.parametrize(
    "recipient",
    [
        "ada@example.com\r\nRCPT TO:<eve@example.com>",
        "ada@example.com\nx",
        "<ada@example.com>",
        "ada@example.com,eve@example.com",
        "ada@example.com> SIZE=1",
        "ada",
        "",
    ],
)
def test_a_recipient_that_is_no_address_is_rejected_unsent(smtp_sink, transport, recipient):
    outcome = transport.send(replace(MESSAGE, recipient=recipient))
    assert (outcome.verdict, outcome.error_class) == (Verdict.REJECTED, "recipient")
    assert smtp_sink.connections == 0


def test_letters_outside_ascii_before_the_at_are_refused_clearly_where_the_server_takes_none(
    smtp_sink, transport
):
    outcome = transport.send(replace(MESSAGE, recipient="ädä@example.com"))
    assert (outcome.verdict, outcome.error_class) == (Verdict.REJECTED, "recipient")
    assert "does not offer SMTPUTF8" in outcome.detail
    assert "Write another address" in outcome.detail
    assert smtp_sink.count == 0


def test_letters_outside_ascii_before_the_at_go_out_where_the_server_offers_smtputf8(settings, account):
    with SmtpSink(takes_utf8=True) as sink:
        lead_here(settings, sink)
        transport = over(replace(account, security=Security.NONE, username="", password=""))
        assert transport.send(replace(MESSAGE, recipient="ädä@bücher.example")).verdict is Verdict.DELIVERED
        assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
        transport.close()
    assert [mail.recipients for mail in sink.mails] == [
        ("ädä@xn--bcher-kva.example",),
        ("ada@example.com",),
    ]


def test_an_international_domain_goes_out_in_ascii(smtp_sink, transport):
    transport.send(replace(MESSAGE, recipient="ada@bücher.example"))
    assert smtp_sink.mails[0].recipients == ("ada@xn--bcher-kva.example",)


@pytest.mark.parametrize("offers", OFFERS)
def test_a_text_cannot_end_itself_and_speak_smtp(smtp_sink, transport, offers):
    offer(smtp_sink, offers)
    smuggled = "\r\n.\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<eve@example.com>\r\nDATA\r\n"
    for ending in ("\r\n", "\n", "\r"):
        body = TEXT + smuggled.replace("\r\n", ending)
        assert transport.send(replace(MESSAGE, body=body)).verdict is Verdict.DELIVERED
    assert [mail.recipients for mail in smtp_sink.mails] == [("ada@example.com",)] * 3
    assert smtp_sink.mails[0].content == (TEXT + smuggled).encode()
    assert smtp_sink.mails[2].content == (TEXT + smuggled).encode()
