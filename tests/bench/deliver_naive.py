"""Deliveries a second, against one django-q2 task each on a real cluster: as documented, and tuned."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.db import connection, connections
from django_q.models import OrmQ, Task

from project.embedded import BASE_DIR
from tests.bench import copies, offer, receiver, rows
from tests.bench.children import check, started
from tests.bench.deliver import ENDPOINTS, PROCESSES, body_bytes
from tests.bench.judge import Case
from tests.bench.run import Run
from tests.bench.workers import working

# The least ratio, and how many tasks of theirs are timed: their rates differ too much for one number.
TARGETS = {"documented": 40.0, "tuned": 5.0}
_KEY = "naive"
_LIMIT = 300.0


def measure(run: Run) -> tuple[list[Case], dict[str, Any]]:
    """Return both cases."""
    queues = rows.targets(ENDPOINTS).queues
    with receiver.running(run.folder) as accepting:
        cases = [_case(run, name, queues, accepting) for name in run.wanted(list(TARGETS))]
    return cases, {"receiver": accepting.kind}


def _case(run: Run, name: str, queues: list[str], accepting: receiver.Receiver) -> Case:
    count = run.scale(8_000, 3_000)
    tasks = run.scale(600, 200) if name == "documented" else run.scale(3_000, 800)
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.bench.naive_settings",
        "DATABASE_URL": copies.url(connections["default"]),
        "BENCH_NAIVE": name,
        "BENCH_URL": f"https://localhost:{accepting.port}/hook",
        "BENCH_CA_BUNDLE": str(accepting.ca_bundle),
    }
    cluster = [sys.executable, "manage.py", "qcluster"]
    with ExitStack() as stack:
        workers = stack.enter_context(
            working(PROCESSES, folder=run.folder, **accepting.environment, DELIVERY_THREADS="4")
        )
        offer.drain(queues, ENDPOINTS, workers=workers, receiver=accepting)
        size = body_bytes()
        log = run.folder / "naive.log"
        naive_cluster = stack.enter_context(started(cluster, log=log, variables=environment))
        drained, naive = run.interleave(
            name,
            lambda: offer.drain(queues, count, workers=workers, receiver=accepting).rate,
            lambda: _run_tasks(tasks, size, environment, lambda: check(naive_cluster, log)),
            rounds=5,
            show=lambda ours, theirs: f"{ours:.0f}/s against {theirs:.0f}/s",
        )
    return Case(
        name=f"one task each, {name}",
        unit="deliveries/s",
        ours=drained,
        baseline=naive,
        target=TARGETS[name],
        extra={"tasks": tasks, "deliveries": count},
    )


def _run_tasks(count: int, size: int, environment: dict[str, str], look: Callable[[], None]) -> float:
    """Queue so many tasks at once, and return how many a second the cluster does; queueing is not counted."""
    Task.objects.all().delete()
    queued = subprocess.run(
        [sys.executable, "-m", "tests.bench.naive_task", str(count), str(size)],
        cwd=BASE_DIR,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    began = float(queued.stdout)
    while _is_queued():
        look()
        if time.monotonic() - began > _LIMIT:
            raise RuntimeError(
                f"{OrmQ.objects.filter(key=_KEY).count()} naive tasks are left after {_LIMIT:.0f} s"
            )
        time.sleep(0.02)
    seconds = time.monotonic() - began
    if failed := Task.objects.filter(success=False).first():
        raise RuntimeError(f"a naive task failed: {failed.result}")
    return count / seconds


def _is_queued() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM django_q_ormq WHERE key = %s)", [_KEY])
        return bool(cursor.fetchone()[0])
