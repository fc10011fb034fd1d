"""Callouts that authenticate: to real receivers, token servers and proxies on this machine."""

import base64
import ssl
import threading
import time
from dataclasses import replace

import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured
from standardwebhooks import Webhook

from notifications.sinks.https_sink import HttpsSink
from notifications.transports import clock, connections
from notifications.transports.base import Message, Verdict
from notifications.transports.signing import new_key_pair, new_secret
from notifications.transports.webhook import WebhookDestination, WebhookTransport
from smtpprofiles import guard, proxy
from smtpprofiles.oauth import TokenGrant
from tests.connect_proxy import ConnectProxy
from tests.servers import RECEIVER
from tests.token_server import CLIENT_ID, CLIENT_SECRET, TOKEN_HOST, TOKEN_URL, TokenServer, problem

SECRET = new_secret()
MESSAGE = Message(id="dlv_1", body='{"amount":19.90,"z":1,"a":"ë€","n":12345678901234567890}')
PLANTED = "planted-s3cret-value"


@pytest.fixture
def destination():
    return WebhookDestination(url=f"https://{RECEIVER}/hook", secrets=(SECRET,), timeout_seconds=5)


@pytest.fixture
def token_server(ca, https_receiver, settings):
    server = TokenServer()
    with HttpsSink(ca=ca, hosts=[TOKEN_HOST], script=server.answer) as sink:
        settings.OUTBOUND_CONNECT_TO = [*settings.OUTBOUND_CONNECT_TO, sink.connect_to(TOKEN_HOST)]
        yield server


@pytest.fixture
def with_oauth(destination, token_server):
    grant = TokenGrant(token_url=TOKEN_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    return replace(destination, grant=grant)


def send(destination, message=MESSAGE):
    return WebhookTransport(destination).send(message)


def told(outcome):
    return (outcome.verdict, outcome.error_class, outcome.status_code)


def test_former_secrets_sign_beside_the_new_until_their_time_is_over(https_receiver, destination):
    old, ended, pair, old_pair = new_secret(), new_secret(), new_key_pair(), new_key_pair()
    now = clock.timestamp()
    retiring = ((old, now + 60), (ended, now - 1), (old_pair, now + 60))
    outcome = send(replace(destination, secrets=(SECRET, pair), retiring=retiring))
    [request] = https_receiver.received
    for secret in (SECRET, old):
        assert Webhook(secret).verify(request.body, request.headers)
    with pytest.raises(Exception, match="signature"):
        Webhook(ended).verify(request.body, request.headers)
    entries = request.headers["webhook-signature"].split(" ")
    assert [entry.partition(",")[0] for entry in entries] == ["v1", "v1a", "v1", "v1a"]
    assert "webhook-signature: v1,**** v1a,**** v1,**** v1a,****" in outcome.request_headers
    assert not [entry for entry in entries if entry.partition(",")[2] in outcome.request_headers]


def test_during_a_rotation_both_secrets_verify_on_every_request_under_load(https_receiver, destination):
    old = new_secret()
    transport = WebhookTransport(replace(destination, retiring=((old, clock.timestamp() + 60),)))
    outcomes = []

    def work(thread):
        outcomes.extend(transport.send(replace(MESSAGE, id=f"dlv_{thread}_{n}")) for n in range(50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED] * 400
    verified = [
        all(Webhook(secret).verify(request.body, request.headers) for secret in (SECRET, old))
        for request in https_receiver.received
    ]
    assert verified == [True] * 400


def test_what_authenticates_goes_with_the_first_request_and_is_masked(https_receiver, destination):
    pair = base64.b64encode(f"user:{PLANTED}".encode()).decode()
    headers = (("Authorization", f"Basic {pair}"), ("X-API-Key", PLANTED))
    echo = "\n".join([pair, f"user:{PLANTED}", PLANTED]).encode()
    https_receiver.script = lambda _request: (500, {"X-Echo": PLANTED}, echo)
    outcome = send(replace(destination, headers=headers, open_headers=(("X-Tenant", "7"),)))
    [request] = https_receiver.received
    assert (request.headers["authorization"], request.headers["x-api-key"]) == (f"Basic {pair}", PLANTED)
    assert "X-Tenant: 7" in outcome.request_headers
    assert outcome.response_body == "****\nuser:****\n****"
    assert "X-Echo: ****" in outcome.response_headers
    assert not [text for text in (repr(outcome), repr(destination)) if PLANTED in text or pair in text]


def test_a_parameter_never_doubles_a_header_of_the_endpoint(https_receiver, destination):
    outcome = send(
        replace(destination, headers=(("X-API-Key", PLANTED),)),
        replace(MESSAGE, headers=(("x-api-key", "other"),)),
    )
    assert told(outcome) == (Verdict.REJECTED, "message", None)
    assert "x-api-key" in outcome.detail
    assert https_receiver.count == 0


def test_one_token_serves_many_sends_of_many_threads(https_receiver, with_oauth, token_server):
    transport = WebhookTransport(with_oauth)
    threads = [
        threading.Thread(target=lambda: [transport.send(MESSAGE) for _ in range(25)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {request.headers["authorization"] for request in https_receiver.received} == {"Bearer token-1"}
    assert (https_receiver.count, len(token_server.asked)) == (100, 1)


def test_a_token_is_replaced_before_it_expires_and_never_shown(https_receiver, with_oauth, token_server):
    token_server.lifetime = 1
    transport = WebhookTransport(with_oauth)
    https_receiver.script = lambda request: (200, {}, request.headers["authorization"].encode())
    outcomes = [transport.send(MESSAGE)]
    time.sleep(0.85)
    outcomes.append(transport.send(MESSAGE))
    sent = [request.headers["authorization"] for request in https_receiver.received]
    assert sent == ["Bearer token-1", "Bearer token-2"]
    assert [outcome.response_body for outcome in outcomes] == ["Bearer ****"] * 2
    assert "Authorization: Bearer ****" in outcomes[0].request_headers
    assert "token-1" not in repr(outcomes)


def test_after_one_401_a_fresh_token_is_tried_within_the_same_attempt(
    https_receiver, with_oauth, token_server
):
    https_receiver.script = lambda request: (
        (204 if request.headers["authorization"] == "Bearer token-2" else 401), {}, b""
    )  # fmt: skip
    assert told(send(with_oauth)) == (Verdict.DELIVERED, "", 204)
    assert told(send(with_oauth)) == (Verdict.DELIVERED, "", 204)
    assert (https_receiver.count, len(token_server.asked)) == (3, 2)


def test_a_receiver_that_refuses_a_fresh_token_blocks_the_endpoint(https_receiver, with_oauth, token_server):
    https_receiver.script = lambda _request: (401, {}, b"")
    outcome = send(with_oauth)
    assert told(outcome) == (Verdict.BLOCKED, "oauth", 401)
    assert "fresh access token" in outcome.detail
    assert (https_receiver.count, len(token_server.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (problem(401, "invalid_client", f"wrong secret {CLIENT_SECRET}"), Verdict.BLOCKED),
        (problem(500, "server_error"), Verdict.RETRY),
        (lambda sock: time.sleep(1), Verdict.RETRY),
    ],
    ids=["refused", "failing", "slow"],
)
def test_without_a_token_nothing_is_sent(https_receiver, with_oauth, token_server, fault, verdict):
    token_server.fault = lambda _form: fault
    outcome = send(replace(with_oauth, timeout_seconds=0.5))
    assert told(outcome) == (verdict, "oauth", None)
    assert https_receiver.count == 0
    assert CLIENT_SECRET not in outcome.detail
    assert outcome.duration.total_seconds() < 5  # a deadline to give up


def test_a_client_certificate_is_shown_and_its_connections_are_its_own(ca, https_receiver, destination):
    clients = trustme.CA()
    https_receiver._context.verify_mode = ssl.CERT_REQUIRED
    https_receiver._context.load_verify_locations(cadata=clients.cert_pem.bytes().decode())
    mine = clients.issue_cert("client.example.test")
    certificate = b"".join(blob.bytes() for blob in mine.cert_chain_pems).decode()
    shown = replace(
        destination, client_certificate=certificate, client_key=mine.private_key_pem.bytes().decode()
    )
    assert [send(shown).verdict for _ in range(2)] == [Verdict.DELIVERED] * 2
    assert https_receiver.connections == 1
    without = send(destination)
    assert without.verdict is not Verdict.DELIVERED
    assert https_receiver.count == 2
    broken = send(replace(shown, client_key="none"))
    assert told(broken) == (Verdict.RETRY, "tls", None)
    assert "PRIVATE KEY" not in repr(shown) + repr(connections._adapters)


def test_behind_a_proxy_it_is_told_an_address_that_was_vetted_here(https_receiver, destination, settings):
    with ConnectProxy() as way:
        settings.OUTBOUND_PROXY = way.url.replace("//", "//us%40er:p%3Aw@")
        outcomes = [send(destination) for _ in range(2)]
        assert [outcome.verdict for outcome in outcomes] == [Verdict.DELIVERED] * 2
        assert outcomes[0].address == f"127.0.0.1:{https_receiver.port}"
        [asked] = way.asked
        assert asked[0] == f"CONNECT 127.0.0.1:{https_receiver.port} HTTP/1.1"
        assert f"Proxy-Authorization: Basic {base64.b64encode(b'us@er:p:w').decode()}" in asked
        refused = send(replace(destination, url="https://localhost/hook"))
        assert told(refused) == (Verdict.RETRY, "address_refused", None)
        assert len(way.asked) == 1


def test_behind_a_proxy_the_certificate_is_checked_against_the_name(
    ca, https_receiver, destination, settings
):
    with ConnectProxy() as way, HttpsSink(ca=ca, hosts=["other.example.test"]) as other:
        settings.OUTBOUND_PROXY = way.url
        settings.OUTBOUND_CONNECT_TO = [other.connect_to(RECEIVER)]
        outcome = send(destination)
        assert told(outcome) == (Verdict.RETRY, "tls", None)
        assert "not trusted" in outcome.detail
        assert (len(way.asked), other.count) == (1, 0)


def test_token_servers_are_reached_through_the_proxy_too(https_receiver, with_oauth, token_server, settings):
    with ConnectProxy() as way:
        settings.OUTBOUND_PROXY = way.url
        assert send(with_oauth).verdict is Verdict.DELIVERED
        assert len(way.asked) == 2


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "junk"])
def test_a_proxy_that_refuses_is_named(https_receiver, destination, settings, status):
    with ConnectProxy(status=status) as way:
        settings.OUTBOUND_PROXY = way.url
        outcome = send(destination)
    assert told(outcome) == (Verdict.RETRY, "connect", None)
    assert "proxy of OUTBOUND_PROXY" in outcome.detail
    assert https_receiver.count == 0


def test_each_vetted_address_is_tried_through_the_proxy():
    addresses = [(2, ("192.0.2.1", 443)), (2, ("192.0.2.2", 443))]
    with ConnectProxy(status="502 Bad Gateway") as way:
        with pytest.raises(OSError, match="answered 502"):
            guard.connect(
                "x.example.test",
                443,
                timeout=3,
                allowed_networks=guard.networks(["192.0.2.0/24"], "x"),
                resolver=lambda *_: addresses,
                proxy=proxy.parse(way.url),
            )
        assert [lines[0].split()[1] for lines in way.asked] == ["192.0.2.1:443", "192.0.2.2:443"]


@pytest.mark.parametrize(
    "url", ["proxy:3128", "https://proxy:3128", "http://proxy", "http://u:pl4nted@proxy:x", "http://p:1/path"]
)
def test_a_proxy_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(ImproperlyConfigured, match="OUTBOUND_PROXY should look like") as caught:
        proxy.parse(url)
    assert "pl4nted" not in str(caught.value)
