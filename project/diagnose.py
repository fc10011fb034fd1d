"""Find out whether this installation works, within seconds, also when its database does not answer."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from notifications.models import Misfit
from notifications.runners import ALIVE
from notifications.schedules import SCHEDULES

from .health import oldest_due_seconds

DEADLINE = 8.0  # seconds for everything
_STATEMENT = "5s"
# A cluster that starts anew may take this long to prove itself again.
_PROVEN = "interval '45 s'"
_OVERDUE = "interval '5 minutes'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at; `advice` says what to do where it is not well."""

    name: str
    is_well: bool
    detail: str
    advice: str = ""


def diagnose(*, max_age: float, deadline: float = DEADLINE) -> list[Finding]:
    """Look at everything; work that is due may be `max_age` seconds old. What was not reached counts as not well."""
    return _in_time(lambda: _findings(max_age), deadline)


def diagnose_database(*, deadline: float = DEADLINE) -> Finding:
    """Look only whether the database can be used."""
    return _in_time(lambda: iter([_migrations()]), deadline)[-1]


def _in_time(findings: Callable[[], Iterator[Finding]], deadline: float) -> list[Finding]:
    answers: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

    def look() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = '{_STATEMENT}'")
            for finding in findings():
                answers.put(finding)
        except (DatabaseError, InterfaceError) as error:
            answers.put(_unreachable(str(error).strip().split("\n")[0]))
        finally:
            answers.put(None)
            connection.close()

    # In a thread, which may go on waiting for a database that hangs when we no longer do.
    threading.Thread(target=look, daemon=True).start()
    found: list[Finding] = []
    try:
        while finding := answers.get(timeout=deadline):
            found.append(finding)
    except queue.Empty:
        found.append(_unreachable(f"no answer within {deadline:.0f} s"))
    return found


def _unreachable(detail: str) -> Finding:
    return Finding(
        name="database",
        is_well=False,
        detail=detail,
        advice="See that PostgreSQL runs and that DATABASE_URL is right; nothing else was looked at.",
    )


def lines(max_age: float) -> Iterator[Finding]:
    """Look at what the running system shows of itself, on the caller's connection: for a page."""
    yield _age(max_age)
    yield _cluster()
    yield from _schedules()
    yield _misfits()


def _findings(max_age: float) -> Iterator[Finding]:
    yield (migrated := _migrations())
    if migrated.is_well:
        yield from lines(max_age)


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return Finding(
        name="database",
        is_well=not missing,
        detail=f"{len(missing)} migrations are missing" if missing else "reachable and migrated",
        advice="Run `manage.py migrate`, then `manage.py sync_catalog`." if missing else "",
    )


def _age(max_age: float) -> Finding:
    age = oldest_due_seconds()
    return Finding(
        name="due work",
        is_well=age <= max_age,
        detail=f"the oldest is {age:.0f} s overdue; {max_age:.0f} s are allowed" if age else "none waits",
        advice=""
        if age <= max_age
        else "If the cluster is well it has more to do than it can: raise Q_WORKERS, or add a host.",
    )


def _cluster() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT
                  (SELECT count(*) FROM notifications_runner WHERE seen_at > clock_timestamp() - {ALIVE}),
                  (SELECT count(*) FROM notifications_cluster
                   WHERE queue = 'delivery' AND proven_at > clock_timestamp() - {_PROVEN}),
                  (SELECT string_agg(DISTINCT host, ', ') FROM notifications_cluster
                   WHERE proven_at <= clock_timestamp() - {_PROVEN})"""  # noqa: S608 - constants of ours
        )
        workers, clusters, silent = cursor.fetchone()
    detail = f"{clusters} delivery clusters are alive, {workers} workers deliver now"
    return Finding(
        name="cluster",
        is_well=bool(workers or clusters),
        detail=f"{detail}; nothing was heard from {silent} lately" if silent else detail,
        advice=""
        if workers or clusters
        else "Start `manage.py cluster` (the unit bellwether-cluster). A bare `qcluster` shows only while it works.",
    )


def _misfits() -> Finding:
    """What a change of tokens left behind is work for a person; the installation itself is well."""
    number = Misfit.objects.count()
    if not number:
        return Finding(
            name="tokens", is_well=True, detail="every subscription and template fits its event types"
        )
    return Finding(
        name="tokens",
        is_well=True,
        detail=f"{number} subscriptions or templates use tokens that their event types do not offer",
        advice="Mend those that the console lists under Rows that need attention.",
    )


def _schedules() -> Iterator[Finding]:
    names = [str(schedule["name"]) for schedule in SCHEDULES]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT name, next_run < clock_timestamp() - {_OVERDUE} FROM django_q_schedule
                WHERE name = ANY(%s)""",  # noqa: S608 - a constant of ours
            [names],
        )
        is_late: dict[str, bool] = dict(cursor.fetchall())
    missing = [name for name in names if name not in is_late]
    late = [name for name in names if is_late.get(name)]
    faults = [f"missing: {', '.join(missing)}"] if missing else []
    faults += [f"overdue: {', '.join(late)}"] if late else []
    yield Finding(
        name="schedules",
        is_well=not faults,
        detail="; ".join(faults) or f"all {len(names)} run in time",
        advice="`manage.py migrate` makes what is missing; a cluster that lives runs what is overdue."
        if faults
        else "",
    )
