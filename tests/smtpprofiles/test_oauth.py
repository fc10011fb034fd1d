import socket
import threading
import time
from dataclasses import replace

import pytest

from notifications.sinks.https_sink import HttpsSink, reset
from smtpprofiles.oauth import TokenGrant, TokenRefused, TokenUnavailable, access_token, forget
from tests.token_server import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN_HOST,
    TOKEN_URL,
    TokenServer,
    as_json,
    problem,
)

GRANT = TokenGrant(
    token_url=TOKEN_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, scope="a b", audience="c"
)


@pytest.fixture
def sink(ca, ca_bundle, settings):
    with HttpsSink(ca=ca, hosts=[TOKEN_HOST]) as sink:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [sink.connect_to(TOKEN_HOST)]
        yield sink


@pytest.fixture
def server(sink):
    server = TokenServer()
    sink.script = server.answer
    return server


def get(grant=GRANT, **options):
    return access_token(grant, **{"deadline_seconds": 5.0} | options)


@pytest.mark.parametrize("how", ["header", "body"])
def test_a_token_is_asked_for_once_and_used_many_times(server, how):
    assert {get(replace(GRANT, credentials_in=how)) for _ in range(100)} == {"token-1"}
    (asked,) = server.asked
    assert {name: asked[name] for name in ("grant_type", "scope", "audience", "how")} == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "audience": "c",
        "how": how,
    }


def test_many_threads_at_once_cause_one_request_and_share_its_end(server):
    go, ends = threading.Barrier(16), []

    def fault(_form):
        time.sleep(0.2)
        return problem(401, "invalid_client") if not ends else None

    def ask():
        go.wait()
        try:
            ends.append(get())
        except TokenRefused as error:
            ends.append(str(error))

    def together():
        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return set(ends[-16:])

    server.fault = fault
    (refusal,) = together()
    assert "invalid_client" in refusal
    assert len(server.asked) == 1
    assert together() == {"token-1"}
    assert len(server.asked) == 2


def test_a_token_is_replaced_before_it_expires(server):
    server.lifetime = "1"
    assert [get(), get()] == ["token-1", "token-1"]
    time.sleep(0.85)
    assert get() == "token-2"


@pytest.mark.parametrize(
    ("lifetime", "tokens"), [(0, 2), (-5, 2), (None, 1), ("soon", 1), (True, 1), (1e999, 1)]
)
def test_whatever_a_server_says_of_the_lifetime_is_taken_as_far_as_it_makes_sense(server, lifetime, tokens):
    server.lifetime = lifetime
    assert len({get(), get()}) == tokens


def test_a_refused_token_is_forgotten_once_and_its_successor_kept(server):
    first = get()
    forget(GRANT, first)
    second = get()
    forget(GRANT, first)  # another thread, which was refused with the old one
    assert [first, second, get()] == ["token-1", "token-2", "token-2"]


def test_grants_that_differ_do_not_share_a_token(server):
    assert get() != get(replace(GRANT, scope="other"))
    assert len(server.asked) == 2


@pytest.mark.django_db
def test_a_replaced_refresh_token_is_handed_over_and_used_from_then_on(server):
    server.rotates = True
    grant = replace(GRANT, refresh_token="refresh-0", owner="profile 7")
    stored = []
    forget(grant, get(grant, on_new_refresh_token=stored.append))
    # The owner may not have stored it yet, or may have: either way there is one token, and one chain.
    second = get(grant, on_new_refresh_token=stored.append)
    assert get(replace(grant, refresh_token=stored[-1])) == second
    assert stored == ["refresh-1", "refresh-2"]
    assert [asked["refresh_token"] for asked in server.asked] == ["refresh-0", "refresh-1"]


@pytest.mark.django_db
def test_a_refresh_token_entered_anew_is_used(server):
    grant = replace(GRANT, refresh_token="stale", owner="profile 7")
    with pytest.raises(TokenRefused, match="invalid_grant"):
        get(grant)
    assert get(replace(grant, refresh_token="refresh-0")) == "token-1"


REFUSALS = [
    (problem(401, "invalid_client", "No"), "invalid_client: No"),
    (problem(400, "invalid_scope"), "invalid_scope"),
    (problem(200, "bad_verification_code"), "bad_verification_code"),
    (as_json(404, []), "status 404"),
    ((302, {"Location": "https://elsewhere.example.test/"}, b""), "redirects"),
    (as_json(200, {"access_token": "t", "token_type": "mac"}), "Bearer"),
]
OUTAGES = [
    (problem(500, "server_error"), "server_error"),
    (problem(400, "temporarily_unavailable"), "temporarily_unavailable"),
    (as_json(429, {}), "status 429"),
    ((200, {}, b"<html>Back soon</html>"), "holds no access token"),
    (as_json(200, {"access_token": "two\r\nlines"}), "holds no access token"),
    ((200, {}, b"[" * 70_000), "more than 65,536 bytes"),
    ((200, {}, b"[" * 60_000), "holds no access token"),
    (reset, "broke off"),
]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [(answer, TokenRefused, words) for answer, words in REFUSALS]
    + [(answer, TokenUnavailable, words) for answer, words in OUTAGES],
)
def test_an_answer_without_a_token_is_a_refusal_or_an_outage(server, answer, kind, words):
    server.fault = lambda _form: answer
    with pytest.raises(kind) as caught:
        get()
    assert words in str(caught.value)
    assert len(server.asked) == 1
    server.fault = None
    assert get() == "token-1"  # and nothing of it is kept


def test_a_slow_server_costs_no_more_than_the_deadline(server):
    def drip(sock):
        try:
            for byte in b"HTTP/1.1 200 OK\r\n" * 100:
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass

    server.fault = lambda _form: drip
    with pytest.raises(TokenUnavailable, match=r"did not answer within 0\.4 seconds"):
        get(deadline_seconds=0.4)
    with pytest.raises(TokenUnavailable, match=r"within 0\.3 seconds"):
        get(replace(GRANT, timeout_seconds=0.3))


def test_what_the_server_echoes_of_our_secrets_is_masked(server):
    server.fault = lambda form: problem(
        401, "invalid_client", f"{CLIENT_SECRET} or s3cret%2Fwith%2Bodd%3Aones%20%25\r\n{form}"
    )
    with pytest.raises(TokenRefused) as caught:
        get(replace(GRANT, credentials_in="body"))
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in repr(GRANT)


def test_the_address_guard_and_the_certificate_check_hold_for_token_servers(sink, server, settings, ca):
    with pytest.raises(TokenRefused, match=r"127\.0\.0\.1 is loopback"):
        get(replace(GRANT, token_url="https://127.0.0.1/token"))
    with HttpsSink(ca=ca, hosts=["other.example.test"]) as other:
        settings.OUTBOUND_CONNECT_TO = [other.connect_to(TOKEN_HOST)]
        with pytest.raises(TokenUnavailable, match="is not trusted"):
            get()
        assert other.count == 0
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.OUTBOUND_CONNECT_TO = [f"{TOKEN_HOST}:443=127.0.0.1:{closed.getsockname()[1]}"]
        with pytest.raises(TokenUnavailable, match="Connection refused"):
            get()
    with pytest.raises(TokenRefused, match="CA certificate"):
        get(replace(GRANT, ca_certificate="none"))
    assert server.asked == []
