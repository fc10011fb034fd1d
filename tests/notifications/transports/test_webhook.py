import gzip
import json
import socket
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
from standardwebhooks import Webhook

from notifications.sinks.https_sink import HttpsSink, reset
from notifications.transports import connections, webhook
from notifications.transports.base import BODY_LIMIT, Message, Verdict
from notifications.transports.connect import Callout
from notifications.transports.judge import judge_answer
from notifications.transports.signing import new_secret
from notifications.transports.webhook import WebhookDestination, WebhookTransport
from smtpprofiles.deadline import Deadline
from tests.servers import RECEIVER

URL = f"https://{RECEIVER}/hooks/billing"
SECRET = new_secret()
MESSAGE = Message(id="dlv_1", body='{"amount":19.90,"z":1,"a":"ë€"}')


@pytest.fixture
def destination():
    return WebhookDestination(url=URL, secrets=(SECRET,), timeout_seconds=5)


@pytest.fixture
def quick(destination):
    return WebhookTransport(replace(destination, timeout_seconds=0.4))


@pytest.fixture
def transport(destination):
    return WebhookTransport(destination)


def raw(content: bytes, *, every: float = 0.0):
    """A misbehaviour: these bytes, one at a time where `every` is given, and then the connection open."""

    def misbehave(sock: ssl.SSLSocket) -> None:
        if not every:
            sock.sendall(content)
        for number in range(len(content) if every else 0):
            sock.sendall(content[number : number + 1])
            time.sleep(every)

    return lambda _request: misbehave


def test_a_callout_arrives_byte_for_byte_and_verifies_with_another_library(https_receiver, transport):
    outcome = transport.send(MESSAGE)

    assert (outcome.verdict, outcome.status_code, outcome.error_class) == (Verdict.DELIVERED, 204, "")
    [request] = https_receiver.received
    assert (request.method, request.path) == ("POST", "/hooks/billing")
    assert request.body == MESSAGE.body.encode()
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Bellwether/")
    assert request.headers["webhook-id"] == "dlv_1"
    assert Webhook(SECRET).verify(request.body, request.headers) == json.loads(MESSAGE.body)
    assert outcome.address == f"127.0.0.1:{https_receiver.port}"
    assert abs(outcome.started_at - datetime.now(UTC)) < timedelta(seconds=5)
    assert timedelta() < outcome.duration < timedelta(seconds=5)


def test_during_a_rotation_both_secrets_sign(https_receiver, destination):
    old = new_secret()
    WebhookTransport(replace(destination, secrets=(SECRET, old))).send(MESSAGE)
    [request] = https_receiver.received
    assert Webhook(SECRET).verify(request.body, request.headers)
    assert Webhook(old).verify(request.body, request.headers)


def test_added_headers_and_query_arrive_and_secret_ones_are_masked_in_the_log(https_receiver, destination):
    transport = WebhookTransport(
        replace(destination, url=f"{URL}?tenant=7", headers=(("Authorization", "Bearer s3cret"),))
    )
    outcome = transport.send(
        replace(
            MESSAGE, headers=(("bellwether-lane", "account:1"), ("x-city", "Łódź")), query=(("n", "a b&c"),)
        )
    )
    [request] = https_receiver.received
    assert request.path == "/hooks/billing?tenant=7&n=a+b%26c"
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.headers["x-city"].encode("latin-1").decode() == "Łódź"
    assert "bellwether-lane: account:1" in outcome.request_headers
    assert "webhook-signature: v1,****" in outcome.request_headers
    assert request.headers["webhook-signature"] not in outcome.request_headers
    assert "s3cret" not in outcome.request_headers
    assert "s3cret" not in repr(transport._destination)
    assert SECRET not in repr(transport._destination)


@pytest.mark.parametrize(
    "header",
    [("x-name", "a\r\nEvil: 1"), ("x-name", "a\nb"), ("x\r\ny", "a"), ("webhook-id", "x"), ("Host", "x")],
)
def test_a_header_that_would_inject_or_replace_is_rejected_unsent(https_receiver, transport, header):
    outcome = transport.send(replace(MESSAGE, headers=(header,)))
    assert (outcome.verdict, outcome.error_class) == (Verdict.REJECTED, "message")
    assert https_receiver.count == 0


@pytest.mark.parametrize(
    ("status", "verdict", "error_class"),
    [
        (200, Verdict.DELIVERED, ""),
        (299, Verdict.DELIVERED, ""),
        (304, Verdict.RETRY, "redirect"),
        (400, Verdict.RETRY, "http_4xx"),
        (404, Verdict.RETRY, "http_4xx"),
        (410, Verdict.BLOCKED, "gone"),
        (429, Verdict.RETRY, "http_4xx"),
        (500, Verdict.RETRY, "http_5xx"),
        (599, Verdict.RETRY, "http_5xx"),
        (700, Verdict.RETRY, "protocol"),
    ],
)
def test_only_2xx_is_accepted(https_receiver, transport, status, verdict, error_class):
    https_receiver.script = lambda _: (status, {}, b"")
    outcome = transport.send(MESSAGE)
    assert (outcome.status_code, outcome.verdict, outcome.error_class) == (status, verdict, error_class)
    assert str(status) in outcome.detail


def test_a_redirect_is_not_followed_and_names_its_target(https_receiver, transport):
    https_receiver.script = lambda _: (301, {"Location": "/new"}, b"")
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "redirect")
    assert f"change the URL to https://{RECEIVER}/new." in outcome.detail
    assert https_receiver.count == 1


def test_a_redirect_to_what_is_no_url_is_told_all_the_same(https_receiver, transport):
    https_receiver.script = lambda _: (302, {"Location": "https://[oops"}, b"")
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "redirect")
    assert "points to https://[oops, which is no URL. Redirects are not followed." in outcome.detail


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_as_seconds_or_as_a_date(https_receiver, transport, status):
    https_receiver.script = lambda _: (status, {"Retry-After": "120"}, b"")
    assert transport.send(MESSAGE).retry_after == timedelta(seconds=120)

    date = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    https_receiver.script = lambda _: (status, {"Retry-After": date}, b"")
    wait = transport.send(MESSAGE).retry_after
    assert timedelta(minutes=4) < wait <= timedelta(minutes=5)


@pytest.mark.parametrize(
    ("status", "value", "wait"),
    [
        (429, "99999999999999999999", timedelta(days=1)),
        (429, "-5", None),
        (429, "soon", None),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", timedelta()),
        (500, "120", None),
    ],
)
def test_an_odd_retry_after_does_no_harm(https_receiver, transport, status, value, wait):
    https_receiver.script = lambda _: (status, {"Retry-After": value}, b"")
    assert transport.send(MESSAGE).retry_after == wait


def test_a_certificate_of_another_authority_is_refused_before_anything_is_sent(settings, destination):
    with HttpsSink(ca=trustme.CA(), hosts=[RECEIVER]) as receiver:
        settings.OUTBOUND_CONNECT_TO = [receiver.connect_to(RECEIVER)]
        outcome = WebhookTransport(destination).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "tls")
    assert "not trusted" in outcome.detail
    assert receiver.count == 0


def test_a_certificate_for_another_name_is_refused(ca, ca_bundle, settings, destination):
    with HttpsSink(ca=ca, hosts=["other.example.test"]) as receiver:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [receiver.connect_to(RECEIVER)]
        outcome = WebhookTransport(destination).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "tls")
    assert "ostname mismatch" in outcome.detail
    assert receiver.count == 0


def test_an_endpoint_with_its_own_ca_trusts_that_one_alone(ca, settings, destination, https_receiver):
    private = trustme.CA()
    own = replace(destination, ca_certificate=private.cert_pem.bytes().decode())
    assert WebhookTransport(own).send(MESSAGE).error_class == "tls"
    with HttpsSink(ca=private, hosts=[RECEIVER]) as receiver:
        settings.OUTBOUND_CONNECT_TO = [receiver.connect_to(RECEIVER)]
        assert WebhookTransport(own).send(MESSAGE).verdict is Verdict.DELIVERED


def test_a_broken_ca_is_an_outcome(https_receiver, destination):
    outcome = WebhookTransport(replace(destination, ca_certificate="nonsense")).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "tls")


def test_environment_proxies_and_bundles_do_not_leak_in(https_receiver, transport, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    assert transport.send(MESSAGE).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    ("url", "word"),
    [("https://localhost/", "loopback"), ("https://127.0.0.1/", "loopback"), ("https://2130706433/", "loop")],
)
def test_a_forbidden_address_is_refused_with_the_remedy(destination, url, word):
    outcome = WebhookTransport(replace(destination, url=url)).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "address_refused")
    assert word in outcome.detail
    assert "OUTBOUND_ALLOWED_NETWORKS" in outcome.detail


def test_a_refused_connection_is_tried_again_later(settings, destination):
    settings.OUTBOUND_CONNECT_TO = [f"{RECEIVER}:443=127.0.0.1:1"]
    outcome = WebhookTransport(destination).send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "connect")
    assert "refused" in outcome.detail


def test_a_receiver_that_stalls_is_cut_and_may_have_the_callout(https_receiver, quick):
    https_receiver.script = lambda _: lambda _sock: time.sleep(1.5)
    outcome = quick.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "timeout")
    assert outcome.duration < timedelta(seconds=1)


@pytest.mark.parametrize(
    "script",
    [
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100, every=0.05),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"y" * 100, every=0.012),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * 100, every=0.009),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 20, every=0.01),
        raw(b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 100, every=0.02),
    ],
    ids=["headers", "body", "chunks", "continue", "until-close"],
)
def test_a_drip_is_cut_at_the_deadline_and_is_no_success(https_receiver, quick, script):
    https_receiver.script = script
    outcome = quick.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "timeout")
    assert timedelta(seconds=0.35) < outcome.duration < timedelta(seconds=0.9)


def test_a_handshake_that_never_ends_is_cut_and_nothing_was_sent(settings, destination):
    listener = socket.create_server(("127.0.0.1", 0))
    settings.OUTBOUND_CONNECT_TO = [f"{RECEIVER}:443=127.0.0.1:{listener.getsockname()[1]}"]
    try:
        outcome = WebhookTransport(replace(destination, timeout_seconds=0.3)).send(MESSAGE)
    finally:
        listener.close()
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "timeout")
    assert outcome.duration < timedelta(seconds=0.8)


@pytest.mark.parametrize(
    "script", [lambda _: reset, raw(b""), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")]
)
def test_a_connection_lost_after_the_request_may_have_delivered(https_receiver, transport, script):
    https_receiver.script = script
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "reset")
    assert "may have the callout" in outcome.detail


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 9 Low\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"\xff" * 20_000 + b"\n",
    ],
)
def test_an_answer_that_is_not_http_is_tried_again(https_receiver, transport, said):
    https_receiver.script = raw(said)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.RETRY, "protocol")


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    ],
    ids=["headers", "header", "status-line", "version", "lengths"],
)
def test_an_answer_beyond_measure_may_have_delivered(https_receiver, transport, said):
    https_receiver.script = raw(said)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "protocol")
    assert "It may have the callout." in outcome.detail


@pytest.mark.parametrize("chunk", [b"-1\r\n" + b"y" * 200_000, b"-5\r\nhello\r\n", b"zz\r\n"])
def test_a_chunk_without_a_length_is_an_answer_that_broke_off(https_receiver, transport, chunk):
    https_receiver.script = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    outcome = transport.send(MESSAGE)
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "reset")
    assert outcome.response_body == ""


def test_a_huge_body_is_cut_and_still_a_success(https_receiver, transport):
    https_receiver.script = lambda _: (200, {}, b"x" * (20 * BODY_LIMIT))
    outcome = transport.send(MESSAGE)
    assert outcome.verdict is Verdict.DELIVERED
    assert outcome.response_body == "x" * BODY_LIMIT


def test_an_endless_body_is_cut_at_the_limit(https_receiver, transport):
    def endless(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    https_receiver.script = lambda _: endless
    outcome = transport.send(MESSAGE)
    assert outcome.verdict is Verdict.DELIVERED
    assert len(outcome.response_body) == BODY_LIMIT


def test_a_gzip_bomb_is_inflated_no_further_than_the_limit(https_receiver, transport):
    bomb = gzip.compress(b"\0" * 100_000_000 + b"end")
    https_receiver.script = lambda _: (200, {"Content-Encoding": "gzip"}, bomb[:60_000])
    assert transport.send(MESSAGE).response_body == ""  # 64 KB of NULs, which PostgreSQL cannot keep
    https_receiver.script = lambda _: (200, {"Content-Encoding": "gzip"}, gzip.compress(b"fine"))
    assert transport.send(MESSAGE).response_body == "fine"


def test_what_the_log_keeps_is_text_that_postgresql_takes(https_receiver, transport):
    https_receiver.script = lambda _: (500, {"X-Odd": "a\0b"}, b"a\0\xff")
    outcome = transport.send(MESSAGE)
    assert outcome.response_body == "a\ufffd"
    assert "X-Odd: ab" in outcome.response_headers


@pytest.mark.parametrize("answer", [(204, {}, b""), (200, {}, b"ok"), (500, {}, b"no")])
def test_one_connection_serves_many_callouts(https_receiver, transport, answer):
    https_receiver.script = lambda _: answer
    for number in range(5):
        transport.send(replace(MESSAGE, id=f"dlv_{number}"))
    assert (https_receiver.count, https_receiver.connections) == (5, 1)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r\n", b"o", b"k"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n", b"\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\nContent-Length:2\n\nok"],
        [b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"],
    ],
)
def test_an_answer_that_ends_leaves_the_connection_for_the_next(https_receiver, transport, pieces):
    def answer_always(sock):
        with sock.makefile("rb") as stream:
            while True:
                for piece in pieces:
                    sock.sendall(piece)
                    time.sleep(0.001)
                if https_receiver._read(stream, 1) is None:
                    return

    https_receiver.script = lambda _: answer_always
    for _ in range(3):
        outcome = transport.send(MESSAGE)
        assert (outcome.verdict, outcome.response_body) == (Verdict.DELIVERED, "ok")
    assert (https_receiver.count, https_receiver.connections) == (3, 1)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 500 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["204", "length", "chunks", "close", "1.0", "101"],
)
def test_what_follows_an_answer_is_never_taken_for_the_next(https_receiver, transport, said):
    def answer_and_stay(sock):
        sock.sendall(said)
        sock.recv(1)

    https_receiver.script = lambda _: answer_and_stay
    first = transport.send(MESSAGE)
    https_receiver.script = lambda _: (202, {}, b"")
    assert first.status_code in (101, 200, 204)
    assert transport.send(MESSAGE).status_code == 202
    assert https_receiver.connections == 2


def test_a_receiver_that_never_reads_is_cut(https_receiver, quick):
    def never_read(stream, connection):
        stream.readline()
        time.sleep(1.5)

    https_receiver._read = never_read
    outcome = quick.send(replace(MESSAGE, body="x" * 30_000_000))
    assert (outcome.verdict, outcome.error_class) == (Verdict.UNKNOWN, "timeout")
    assert outcome.duration < timedelta(seconds=1.2)


def test_no_descriptor_is_left_behind(https_receiver, transport):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    https_receiver.script = lambda _: (200, {"Connection": "close"}, b"")
    transport.send(MESSAGE)
    assert https_receiver.wait_for(1)
    before = descriptors()
    for _ in range(20):
        transport.send(MESSAGE)
    assert descriptors() <= before + 4  # the receiver's own ends may be closing still


def test_two_destinations_of_one_configuration_share_connections(https_receiver, destination):
    WebhookTransport(destination).send(MESSAGE)
    WebhookTransport(replace(destination, url=f"https://{RECEIVER}/other")).send(MESSAGE)
    assert (https_receiver.count, https_receiver.connections) == (2, 1)


def test_a_kept_connection_outlives_the_deadline_of_its_first_callout(https_receiver, quick):
    assert quick.send(MESSAGE).verdict is Verdict.DELIVERED
    time.sleep(0.6)
    assert quick.send(MESSAGE).verdict is Verdict.DELIVERED
    assert https_receiver.connections == 1


def test_a_connection_in_the_pool_is_beyond_the_deadline_of_its_callout(https_receiver, quick, monkeypatch):
    def judge_slowly(*args, **kwargs):
        time.sleep(0.6)
        return judge_answer(*args, **kwargs)

    monkeypatch.setattr(webhook, "judge_answer", judge_slowly)
    assert quick.send(MESSAGE).verdict is Verdict.DELIVERED
    assert quick.send(MESSAGE).verdict is Verdict.DELIVERED
    assert https_receiver.connections == 1


def test_a_connection_that_was_cut_is_closed_instead_of_kept(https_receiver, transport):
    transport.send(MESSAGE)
    pool = connections.adapter("").pool(RECEIVER)
    connection = pool._get_conn()
    with Deadline(5) as deadline:
        connection.callout = Callout(host=RECEIVER, content=b"", deadline=deadline)
        deadline.watch_lent(connection.sock)
        deadline.cut()
        pool._put_conn(connection)
    assert connection.sock is None
    assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
    assert https_receiver.connections == 2


def test_a_connection_that_the_receiver_closed_meanwhile_is_replaced(https_receiver, transport):
    def answer_and_leave(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    https_receiver.script = lambda _: answer_and_leave
    for _ in range(3):
        assert transport.send(MESSAGE).verdict is Verdict.DELIVERED
        time.sleep(0.05)
    assert https_receiver.connections == 3


def test_several_threads_send_through_one_transport(https_receiver, transport):
    verdicts = []

    def work(worker):
        verdicts.extend(
            transport.send(replace(MESSAGE, id=f"dlv_{worker}_{number}")).verdict for number in range(20)
        )

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [Verdict.DELIVERED] * 80
    assert len({request.headers["webhook-id"] for request in https_receiver.received}) == 80
    assert https_receiver.connections <= 4


def test_an_early_hint_is_no_answer_and_the_next_callout_gets_its_own(https_receiver, transport):
    def hints_then_refuses(request):
        def answer(sock):
            sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            time.sleep(0.05)
            sock.sendall(b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

        return answer

    https_receiver.script = hints_then_refuses

    outcomes = [transport.send(replace(MESSAGE, id=f"dlv_{number}")) for number in range(3)]

    assert [outcome.status_code for outcome in outcomes] == [500, 500, 500]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.RETRY}
