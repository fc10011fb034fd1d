"""A million SIMs: activity reported in bulk, and the daily scan for those that have been silent."""

import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from django.db import connection

from events import prepared
from events.activity import CHUNK, Used, record
from tests.bench.judge import Case
from tests.bench.run import Run

RECORD_TARGET, SCAN_TARGET, MEMORY_TARGET = 60.0, 5.0, 50.0
PAGE = 1_000
SILENT_SHARE = 20  # one of so many was last used long ago
NOW = datetime(2026, 11, 22, tzinfo=UTC)

_OBJECTS = """
INSERT INTO events_billingobject (kind, external_id, state, reported_at)
SELECT 'sim', (8901990000000000000 + n)::text,
    jsonb_build_object('state', 'Active', 'plan', 'IoT 100 MB', 'account', jsonb_build_object('id', n / 1000), 'note',
    repeat('x', 200)), now()
FROM generate_series(0, %s - 1) AS n
"""
_SILENT: LiteralString = """
SELECT external_id, last_at FROM events_activity
WHERE kind = 'sim' AND activity = 'usage' AND last_at <= %s::timestamptz
  AND (last_at, external_id) > (%s::timestamptz, %s::text)
ORDER BY last_at, external_id LIMIT %s::int
"""
_NEVER: LiteralString = """
SELECT o.external_id FROM events_billingobject AS o
WHERE o.kind = 'sim' AND o.external_id > %s::text AND NOT EXISTS (
    SELECT FROM events_activity AS a
    WHERE a.kind = o.kind AND a.activity = 'usage' AND a.external_id = o.external_id
)
ORDER BY o.external_id LIMIT %s::int
"""


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return how long recording and scanning take, and what memory they need."""
    sims = run.scale(1_000_000, 50_000)
    run.progress.expect(5)
    with connection.cursor() as cursor:
        cursor.execute(_OBJECTS, [sims])
    run.progress.step(f"{sims:,} objects made")
    before = _peak()
    # The last hundredth is never used at all.
    used = sims - sims // 100
    first = _timed(lambda: _record(used, days_later=0))
    run.progress.step(f"first activity of {used:,} recorded in {first:.1f} s")
    later = _timed(lambda: _record(used, days_later=1))
    run.progress.step(f"a day later of {used:,} recorded in {later:.1f} s")
    fresh = _timed(lambda: _expect(_silent(), used // SILENT_SHARE))
    run.progress.step(f"scan right after it in {fresh:.2f} s")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE events_activity, events_billingobject")
    scans = [_timed(lambda: _expect(_silent(), used // SILENT_SHARE)) for _ in range(5)]
    nevers = [_timed(lambda: _expect(_never(), sims - used)) for _ in range(5)]
    run.progress.step(
        f"scans after vacuum: {min(scans):.2f} to {max(scans):.2f} s; {min(nevers):.2f} to {max(nevers):.2f} s"
    )
    cases = [
        _case(f"{used:,} first activities, s", [first], RECORD_TARGET),
        _case(f"{used:,} later activities, s", [later], RECORD_TARGET),
        _case("scan for silent ones, right after", [fresh], SCAN_TARGET),
        _case("scan for silent ones", scans, SCAN_TARGET),
        _case("scan for never used ones", nevers, SCAN_TARGET),
        Case(name="memory that all of it took", unit="MB", ours=[_peak() - before], baseline=None,
             target=MEMORY_TARGET, at_most=True),
    ]  # fmt: skip
    middle = (NOW - timedelta(days=92)).isoformat()
    plans = {
        "silent": _plan(_SILENT, [NOW.isoformat(), middle, "", str(PAGE)]),
        "never": _plan(_NEVER, ["", str(PAGE)]),
    }
    return cases, {"silent": used // SILENT_SHARE, "never": sims - used, "plans": plans}


def _case(name: str, seconds: list[float], target: float) -> Case:
    return Case(name=name, unit="s", ours=seconds, baseline=None, target=target, at_most=True)


def _record(count: int, *, days_later: int) -> None:
    for start in range(0, count, CHUNK):
        record(_rows(start, min(start + CHUNK, count), days_later))


def _rows(start: int, end: int, days_later: int) -> Iterator[Used]:
    for number in range(start, end):
        is_silent = number % SILENT_SHARE == 0
        at = NOW + timedelta(days=days_later - 1 - (90 if is_silent else 0), hours=1, seconds=number % 3_600)
        yield Used("sim", "usage", str(8901990000000000000 + number), at)


def _silent() -> Iterator[int]:
    last_at, last_id, before = "-infinity", "", (NOW - timedelta(days=30)).isoformat()
    while rows := prepared.run(_SILENT, [before, last_at, last_id, str(PAGE)]):
        yield len(rows)
        last_id, last_at = rows[-1][0], rows[-1][1].isoformat()


def _never() -> Iterator[int]:
    last_id = ""
    while rows := prepared.run(_NEVER, [last_id, str(PAGE)]):
        yield len(rows)
        last_id = rows[-1][0]


def _expect(pages: Iterator[int], number: int) -> None:
    found = sum(pages)
    if found != number:
        raise ValueError(f"{found} found, {number} expected")


def _timed(job: Any) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _plan(statement: str, parameters: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", parameters)
        return [line for (line,) in cursor.fetchall()]
