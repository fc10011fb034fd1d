"""What every fault test stands on: the receiver with its ledger, and endpoints that lead to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pytest_django import Settings

from tests.faults.ledger import Ledger
from tests.servers import RECEIVER

# Enough names for every test; the certificate is for all of them.
HOSTS = [RECEIVER, *(f"r{number}.example.test" for number in range(100))]


@pytest.fixture
def ledger(ca: trustme.CA, ca_bundle: Path, settings: Settings, tmp_path: Path) -> Iterator[Ledger]:
    """The receiver of all HOSTS, trusted, and reached on this machine; it accepts everything at first."""
    with Ledger(ca=ca, hosts=HOSTS, folder=tmp_path, bind="0.0.0.0") as found:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [*settings.OUTBOUND_CONNECT_TO, *found.connect_to()]
        yield found
