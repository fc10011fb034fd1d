"""Fault 9, its last one: a name that leads to a public address now and to a private one the next moment."""

import subprocess
import sys
from functools import partial

import pytest
from django.db import connection

from notifications.models import Attempt
from tests.faults.hosts import lonely_host
from tests.faults.ledger import Ledger, Rule
from tests.faults.scene import all_delivered, conclude, publish_events, subscribe, wait_until, worker
from tests.processes import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

HOST, SERVER = "rebinding.example.test", "127.0.0.53"
# A public address, which on this host without neighbours is its own.
PUBLIC, PRIVATE = "93.184.215.14", "127.0.0.1"
ANSWERS = [PUBLIC, PRIVATE, f"{PUBLIC}+{PRIVATE}"]


def test_a_name_that_turns_to_a_private_address_leads_nobody_there(catalog, ca, ca_bundle, tmp_path):
    follow_names(ca, ca_bundle, tmp_path, events=9)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_name_that_turns_again_and_again_leads_nobody_there(catalog, ca, ca_bundle, tmp_path):
    follow_names(ca, ca_bundle, tmp_path, events=300)


def follow_names(ca, ca_bundle, folder, *, events: int) -> None:
    """Listen at both addresses, look the name up for every send, and see where the sends arrive."""
    if not connection.settings_dict["HOST"].startswith("/"):
        pytest.skip("this test's host reaches a PostgreSQL on a Unix socket only")
    subscribe([HOST], ordered=True, retry_seconds=[0] * 100)
    with lonely_host(PUBLIC, nameserver=SERVER) as host:
        names = subprocess.Popen(
            [*host.prefix, sys.executable, "-m", "tests.faults.names", SERVER, *ANSWERS],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        try:
            assert names.stdout
            assert names.stdout.readline() == b"ready\n"
            place = partial(Ledger, bind="0.0.0.0", port=443, prefix=host.prefix)
            with place(ca=ca, hosts=[HOST], folder=folder) as ledger:
                ledger.behave(Rule(headers={"Connection": "close"}))
                published = publish_events(events)
                variables = {"OUTBOUND_CA_BUNDLE": str(ca_bundle), "OUTBOUND_CONNECT_TO": ""}
                with worker(variables=variables, prefix=host.prefix):
                    took = wait_until(all_delivered(events))
                findings = conclude(
                    "9 name turns private", ledger, published=published, runs=events, recovery_seconds=took
                )
                lines = ledger.lines()
        finally:
            names.kill()
            names.communicate()
    assert findings.duplicates == 0
    assert {line.address for line in lines} == {PUBLIC}
    refused = Attempt.objects.filter(error_class="address_refused")
    assert refused.count() >= events, "two of three look-ups led to a private address"
    assert all(PRIVATE in attempt.detail for attempt in refused)
    assert {attempt.verdict for attempt in refused} == {"retry"}
