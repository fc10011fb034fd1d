"""The daily scan over very many SIMs: bounded memory, indexes alone for those that are not dormant."""

import os
import resource
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from events.models import Trigger
from events.triggers import dormancy, silent
from events.triggers import rules as reading

from .conftest import Rules, fired

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
MAKE = """
INSERT INTO events_billingobject (kind, external_id, state, reported_at, created_at)
SELECT 'sim', lpad(n::text, 12, '0'), '{"state": "Active", "activated_on": "2026-01-01", "account": {"id": "1"}}',
       now(), now() - interval '300 days' FROM generate_series(1, %(count)s) AS n;
INSERT INTO events_activity (kind, activity, external_id, last_at)
SELECT 'sim', 'usage', lpad(n::text, 12, '0'),
       %(now)s - CASE WHEN n <= %(dormant)s THEN 40 ELSE n %% 29 END * interval '1 day'
FROM generate_series(1, %(count)s - %(never)s) AS n;
"""


def scan_many(trigger: Trigger, count: int, dormant: int, never: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MAKE, {"count": count, "dormant": dormant, "never": never, "now": NOW})
        cursor.execute("ANALYZE events_billingobject")
        cursor.execute("ANALYZE events_activity")
    rule = reading.of(trigger)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    assert dormancy.scan(rule, now=NOW) == dormant + never
    first = time.monotonic() - begun
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    begun = time.monotonic()
    assert dormancy.scan(rule, now=NOW + timedelta(hours=1)) == 0
    again = time.monotonic() - begun
    told = f"{count:,} SIMs, {dormant + never:,} fired: {first:.2f} s, {peak / 2**20:.1f} MB; again {again:.2f} s\n"
    sys.stdout.write(told)
    # What is not dormant costs no memory: a batch of rows, not a million.
    assert peak < 64 * 2**20
    assert len(fired("sim.dormant")) == dormant + never


def test_a_scan_fires_for_the_dormant_and_the_never_used_alone(rules: Rules) -> None:
    scan_many(rules("inactivity"), 3_000, 40, 10)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_million_sims(transactional_db: None, rules: Rules) -> None:
    count = int(os.environ.get("SIMS", "1000000"))
    trigger = rules("inactivity")
    scan_many(trigger, count, 2_000, 500)
    where = {
        "kind": "sim", "activity": "usage", "before": NOW - timedelta(days=30), "limit": 20000,
        "last_at": datetime(1970, 1, 1, tzinfo=UTC), "external_id": "",
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("VACUUM events_activity")
        cursor.execute("VACUUM events_billingobject")
    for statement in (silent.SILENT, silent.NEVER_USED):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", where)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        sys.stdout.write(f"{plan}\n")
        assert "Seq Scan" not in plan
