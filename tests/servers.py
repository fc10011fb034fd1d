"""Real servers for tests: a certificate authority, an HTTPS receiver, a mail server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pytest_django import Settings

from notifications.sinks.https_sink import HttpsSink
from notifications.sinks.smtp_sink import SmtpSink
from notifications.transports import connections
from smtpprofiles import oauth, sender

RECEIVER = "receiver.example.test"
MAIL_SERVER = "mail.example.test"
USERNAME, PASSWORD = "billing", "correct horse"


HttpsReceiver = HttpsSink


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    """No test sends on a connection that another one left open."""
    yield
    connections.close_all()
    sender.close()
    oauth.forget_all()


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """The authority that signed every receiver's certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_bundle(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its certificate as a file, for OUTBOUND_CA_BUNDLE."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def https_receiver(ca: trustme.CA, ca_bundle: Path, settings: Settings) -> Iterator[HttpsReceiver]:
    """https://receiver.example.test, trusted, and reached on this machine."""
    with HttpsReceiver(ca=ca, hosts=[RECEIVER]) as receiver:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [*settings.OUTBOUND_CONNECT_TO, receiver.connect_to(RECEIVER)]
        yield receiver


@pytest.fixture
def smtp_sink(ca: trustme.CA, ca_bundle: Path, settings: Settings) -> Iterator[SmtpSink]:
    """mail.example.test:587 with STARTTLS and login, trusted, and reached on this machine."""
    with SmtpSink(ca=ca, host=MAIL_SERVER, username=USERNAME, password=PASSWORD) as sink:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        entry = f"{MAIL_SERVER}:587=127.0.0.1:{sink.port}"
        settings.OUTBOUND_CONNECT_TO = [*settings.OUTBOUND_CONNECT_TO, entry]
        yield sink
