"""Five thousand dormant SIMs in one scan, a real worker and a mail server: a few mails, and one with a table."""

import csv
import io
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from events.models import Trigger
from events.triggers import dormancy
from events.triggers import rules as reading
from notifications import letters
from notifications.models import Delivery, Digest, Recipient
from tests.factories import EmailSubscriptionFactory, QueueFactory, SmtpProfileFactory
from tests.processes import manage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

SIMS, LIMIT = 5_000, 10
MAKE = """
INSERT INTO events_billingobject (kind, external_id, state, reported_at, created_at)
SELECT 'sim', '89' || lpad(n::text, 12, '0'), jsonb_build_object('state', 'Active', 'activated_on', '2026-01-01',
    'msisdn', '+4366400' || n, 'plan', CASE WHEN n = 1 THEN '=HYPERLINK("https://evil.example")' ELSE 'IoT' END,
    'account', jsonb_build_object('id', (1000 + n %% 7)::text, 'currency', 'EUR')),
  now(), now() - interval '300 days' FROM generate_series(1, %s) AS n;
INSERT INTO events_activity (kind, activity, external_id, last_at)
SELECT 'sim', 'usage', '89' || lpad(n::text, 12, '0'), now() - interval '40 days' FROM generate_series(1, %s) AS n
"""


def test_5000_dormant_sims_are_ten_mails_and_one_with_a_table_for_each_recipient(catalog, smtp_sink):
    SmtpProfileFactory(max_connections=4)
    [template] = letters.install(only=["sim.dormant"])
    subscription = EmailSubscriptionFactory(
        queue=QueueFactory(is_ordered=False), email_template=template, storm_limit=LIMIT, storm_minutes=60
    )
    Recipient.objects.create(subscription=subscription, address="noc@example.com")
    trigger = Trigger.objects.create(
        name="dormant", source="inactivity", object_kind="sim", event_type=catalog["sim.dormant"], idle_days=30,
        is_active=True, active_since=timezone.now(),
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(MAKE, [SIMS, SIMS])
    with manage("deliver"):
        assert dormancy.scan(reading.of(trigger), now=datetime.now(UTC)) == SIMS
        until(lambda: Delivery.objects.count() == 2 * SIMS)
        assert smtp_sink.wait_for(2 * LIMIT, timeout=60)
        late = Now() - timedelta(seconds=1)
        waiting = Digest.objects.filter(delivery=None)
        assert waiting.count() == 2
        with connection.cursor() as cursor:
            cursor.execute("UPDATE events_inboxentry SET due_at = now() WHERE due_at IS NOT NULL")
        waiting.update(due_at=late)
        until(lambda: Delivery.objects.filter(status="digested").count() == 2 * (SIMS - LIMIT))

    assert smtp_sink.count == 2 * (LIMIT + 1)
    mails = [mail.parsed() for mail in smtp_sink.mails]
    digests = [mail for mail in mails if mail["Subject"] == "4,990 more: Dormant SIM"]
    assert Counter(mail["To"] for mail in mails) == {"ops@example.com": 11, "noc@example.com": 11}
    assert sorted(mail["To"] for mail in digests) == ["noc@example.com", "ops@example.com"]
    for mail in digests:
        text, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
        assert "4,990 more: Dormant SIM" in text
        assert "prefers-color-scheme: dark" in html
        assert "lists all 4,990" in text
        assert html.count("sim:89") == 20
        [file] = mail.iter_attachments()
        assert re.fullmatch(r"digest-[0-9-]+\.csv", file.get_filename())
        raw = file.get_payload(decode=True)
        assert raw.startswith(b"\xef\xbb\xbf")
        head, *rows = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
        assert head[:5] == ["event id", "type", "occurred at", "account", "object"]
        assert {"sim.iccid", "sim.msisdn", "sim.plan"} <= set(head)
        assert len(rows) == SIMS - LIMIT == len({row[0] for row in rows})
        of = {name: position for position, name in enumerate(head)}
        singles = {
            name.removeprefix("sim:")
            for name in (single_of(each) for each in mails if each["To"] == mail["To"])
            if name
        }
        iccids = {row[of["sim.iccid"]] for row in rows}
        assert iccids.isdisjoint(singles)
        assert len(singles) == LIMIT
        assert all(row[of["object"]] == f"sim:{row[of['sim.iccid']]}" for row in rows)
        assert all(row[of["sim.msisdn"]].startswith("'+43") for row in rows), "no formula"
        plans = {row[of["sim.plan"]] for row in rows}
        assert plans <= {"IoT", '\'=HYPERLINK("https://evil.example")'}
    counts = {
        each: Delivery.objects.filter(status=each).count() for each in ("delivered", "digested", "held")
    }
    assert counts == {"delivered": 2 * LIMIT + 2, "digested": 2 * (SIMS - LIMIT), "held": 0}
    assert set(Digest.objects.filter(delivery__isnull=False).values_list("size", "passed")) == {
        (4_990, LIMIT)
    }


def single_of(mail) -> str:
    """The SIM that a mail of its own is about; empty for a digest."""
    subject = mail["Subject"]
    return subject.split()[1] if subject.startswith("SIM ") else ""


def until(holds, seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.2)
