"""Fault 10: certificates that cannot be trusted, and a handshake that never ends."""

import datetime
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pytest_django import Settings

from notifications.models import Attempt, Delivery
from tests.faults.conftest import HOSTS
from tests.faults.ledger import Ledger
from tests.faults.scene import begin_anew, conclude, publish_events, subscribe, wait_for_count, worker

pytestmark = pytest.mark.django_db(transaction=True)

EXPIRED, WRONG_NAME, UNKNOWN_CA, STALLED, RESET = "expired", "wrong-name", "unknown-ca", "stalled", "reset"
BAD = [f"{kind}.example.test" for kind in (EXPIRED, WRONG_NAME, UNKNOWN_CA, STALLED, RESET)]
WHY = {
    EXPIRED: ("tls", ("certificate has expired",)),
    WRONG_NAME: ("tls", ("Hostname mismatch",)),
    UNKNOWN_CA: ("tls", ("unable to get local issuer certificate",)),
    STALLED: ("timeout", ("No connection within 2 seconds", "did not finish the TLS handshake in time")),
    # The reset may be seen while connecting already, or during the handshake.
    RESET: (
        "tls",
        ("closed the connection during the TLS handshake", "The TLS handshake with", "reset by peer"),
    ),
}
GOOD = HOSTS[:2]
# Milliseconds after which a thread is certainly given up, with a time-out of 2 s on a busy machine.
FREED_WITHIN = 8_000


@pytest.fixture
def stalling_port() -> Iterator[int]:
    """A port whose connections are made by the kernel and never looked at."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def resetting_port() -> Iterator[int]:
    """A port that resets each connection as soon as it is made."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        is_over = threading.Event()

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                if is_over.is_set():
                    connection.close()
                    return
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
        is_over.set()
        socket.create_connection(listener.getsockname()).close()
        server.join()


@pytest.fixture
def tls_ledger(
    ca: trustme.CA,
    ca_bundle: Path,
    stalling_port: int,
    resetting_port: int,
    settings: Settings,
    tmp_path: Path,
) -> Iterator[Ledger]:
    """The receiver of good and bad hosts; each bad one has a certificate of its own, or none."""
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificates = {
        BAD[0]: ca.issue_cert(BAD[0], not_before=long_ago, not_after=long_ago + datetime.timedelta(1)),
        BAD[1]: ca.issue_cert("somebody-else.example.test"),
        BAD[2]: trustme.CA().issue_cert(BAD[2]),
    }
    with Ledger(ca=ca, hosts=[*GOOD, *BAD[:3]], folder=tmp_path, certificates=certificates) as found:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        stalled = f"{BAD[3]}:443=127.0.0.1:{stalling_port}"
        resetting = f"{BAD[4]}:443=127.0.0.1:{resetting_port}"
        settings.OUTBOUND_CONNECT_TO = [*found.connect_to(), stalled, resetting]
        yield found


def test_a_certificate_that_cannot_be_trusted_is_one_clear_attempt(catalog, tls_ledger):
    meet_bad_certificates(tls_ledger, rounds=1)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_certificates_that_cannot_be_trusted_hold_up_nobody_for_long(catalog, tls_ledger):
    meet_bad_certificates(tls_ledger, rounds=10)


def meet_bad_certificates(ledger: Ledger, *, rounds: int) -> None:
    """Send to good and bad hosts with fewer threads than bad ones; the good ones get everything."""
    subscribe(GOOD, ordered=False)
    bad = subscribe(BAD, ordered=False, retry_seconds=[3600], timeout_seconds=2)
    good = Delivery.objects.exclude(subscription__in=bad).filter(status="delivered")
    tried = Delivery.objects.filter(subscription__in=bad, status="retrying", attempt_count=1)
    published: list[str] = []
    with worker(threads=2):
        # The last round proves that the threads are free again.
        for number in range(1, rounds + 2):
            published += publish_events(2)
            took = wait_for_count(good, len(published) * len(GOOD))
            wait_for_count(tried, len(published) * len(BAD), 120)
            if number % 2 == 0:
                begin_anew(bad)
    for subscription, host in zip(bad, BAD, strict=True):
        attempts = Attempt.objects.filter(delivery__subscription=subscription)
        error_class, words = WHY[host.split(".")[0]]
        assert attempts.count() == len(published)
        seen = {attempt.error_class for attempt in attempts}
        assert seen <= {error_class, "connect"} if host == BAD[4] else seen == {error_class}
        assert all(any(each in attempt.detail for each in words) for attempt in attempts)
        assert {attempt.verdict for attempt in attempts} == {"retry"}, "nothing was sent"
        # How far each came is in the log: to the handshake, and no further.
        for attempt in attempts:
            has_connected = attempt.error_class != "connect"
            assert (attempt.connect_ms is not None, attempt.tls_ms) == (has_connected, None), host
            assert attempt.first_byte_ms is None
        assert max(attempt.duration_ms for attempt in attempts) < FREED_WITHIN
    findings = conclude(
        "10 TLS",
        ledger,
        published=published,
        deliveries_each=len(GOOD) + len(BAD),
        runs=rounds,
        recovery_seconds=took,
    )
    assert {line.host for line in ledger.lines()} == set(GOOD)
    assert findings.arrivals == len(published) * len(GOOD)
