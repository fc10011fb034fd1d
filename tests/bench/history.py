"""Deliveries a second with a long log of attempts, against an empty log: two databases of one server."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.bench import copies, hosting, offer, receiver, rows, spending
from tests.bench.deliver import ENDPOINTS, PROCESSES, median_cost
from tests.bench.judge import Case
from tests.bench.rounds import Round
from tests.bench.run import Run
from tests.bench.workers import working

TARGET = 0.95
_ROW_BYTES = 1_000  # with its share of three indexes and of the log of changes
_PARTS = 20

# As the engine writes them, spread over the month so far, with ids in the order of time.
_INSERT = """
INSERT INTO notifications_attempt
  (id, delivery_id, number, verdict, status_code, error_class, detail, duration_ms, address, request_headers,
   response_headers, response_body, worker, epoch, is_fenced, started_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15))::uuid,
       n, 1, 'delivered', 204, '', '', 12, '127.0.0.1:443',
       'Content-Type: application/json' || chr(10) || repeat('x', 270), 'Server: nginx' || chr(10)
       || 'Date: Sun, 22 Nov 2026 12:00:00 GMT', '', 'host:4711:0a1b2c3d', 1, false, at
FROM (SELECT n, date_trunc('month', now()) + (now() - date_trunc('month', now())) * (n::float8 / %(all)s) AS at
      FROM generate_series(%(first)s::bigint, %(last)s) n) x
"""


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return the one case."""
    count, attempts = run.scale(8_000, 3_000), run.scale(10_000_000, 500_000)
    _check_room(attempts)
    queues = rows.targets(ENDPOINTS).queues
    name = f"{attempts:,} attempts"
    with ExitStack() as stack:
        accepting = stack.enter_context(receiver.running(run.folder))
        empty = stack.enter_context(copies.copied("empty"))
        filled = stack.enter_context(copies.copied("filled"))
        with copies.within(filled):
            _fill(run, attempts)
        teams = {}
        for database in (empty, filled):
            with copies.within(database):
                rows.analyse()
                teams[database] = stack.enter_context(
                    working(PROCESSES, folder=run.folder, **accepting.environment, DELIVERY_THREADS="4")
                )

        def drain(database: BaseDatabaseWrapper) -> Round:
            with copies.within(database):
                return offer.drain(queues, count, workers=teams[database], receiver=accepting)

        long, short = run.interleave(
            name,
            lambda: drain(filled),
            lambda: drain(empty),
            rounds=5,
            show=lambda ours, theirs: f"{ours.rate:.0f}/s against {theirs.rate:.0f}/s",
        )
    case = Case.of_rounds(
        name,
        long,
        short,
        target=TARGET,
        extra={
            "cpu_us": median_cost([each.cost for each in long]),
            "baseline_cpu_us": median_cost([each.cost for each in short]),
        },
    )
    return [case], {"receiver": accepting.kind}


def _check_room(attempts: int) -> None:
    """Raise Unhosted where the disk of the database, if it is this machine's, would not hold the log twice."""
    server = spending.postmaster()
    if server is None:
        return
    free = shutil.disk_usage(Path(server.cwd())).free
    if free < 2 * attempts * _ROW_BYTES:
        raise hosting.Unhosted(
            f"{attempts:,} attempts need about {2 * attempts * _ROW_BYTES / 1e9:.0f} GB of disk for a while, and "
            f"{free / 1e9:.0f} GB are free. Use --quick, or set BENCH_DATABASE_URL."
        )


def _fill(run: Run, attempts: int) -> None:
    run.progress.expect(_PARTS)
    for part in range(_PARTS):
        bounds = {
            "all": attempts,
            "first": part * attempts // _PARTS + 1,
            "last": (part + 1) * attempts // _PARTS,
        }
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, bounds)
        run.progress.step(f"attempts in the log: {bounds['last']:,}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications_attempt")
        assert cursor.fetchone()[0] == attempts
