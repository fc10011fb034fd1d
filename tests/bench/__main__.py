"""`python -m tests.bench NAME`: prepare a place for the bench, measure, report. `manage.py bench` runs this."""

import argparse
import importlib
import json
import logging
import os
import platform
import signal
import sys
import threading
from typing import Any

import django

from tests.bench import hosting, judge, registry, report
from tests.bench.progress import Progress
from tests.bench.run import Run, UnknownCase


def main() -> int:
    """Run one bench; return the exit status."""
    parser = argparse.ArgumentParser(prog="manage.py bench")
    parser.add_argument("name")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--case", default="")
    asked = parser.parse_args()
    # As Ctrl-C: everything that was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress = Progress()
    try:
        entry = registry.find(asked.name)
        progress.say("preparing PostgreSQL, a database and its tables")
        with hosting.hosted(entry.options) as folder:
            run = Run(
                folder=folder, progress=progress, is_quick=asked.quick, rounds=asked.rounds, only=asked.case
            )
            found = _measure(asked.name, entry, run)
    except (registry.UnknownBench, UnknownCase, hosting.Unhosted) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; everything that was started is stopped.\n")
        return 130
    finally:
        progress.close()
    sys.stdout.write((json.dumps(found) if asked.json else report.table(found)) + "\n")
    return 0


def _measure(name: str, entry: registry.Entry, run: Run) -> dict[str, Any]:
    django.setup()
    # Not before: what they import reads the settings.
    from django.core.management import call_command
    from django.db import connections

    from tests.bench import spending

    # Its "Enqueued" would stand between the lines that are meant for people.
    logging.getLogger("django-q").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0, interactive=False)
    try:
        others = spending.Others()
        cases, extra = importlib.import_module(f"tests.bench.{entry.module}").measure(run)
        extra |= {"is_quick": run.is_quick, "others_share": others.share()}
        return judge.summary(name, cases, _machine(), **extra)
    finally:
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()  # a last announcement, which needs the database
        connections.close_all()


def _machine() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_setting('fsync')")
        version, fsync = cursor.fetchone()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"PostgreSQL {version} (fsync {fsync}), receiver and PostgreSQL on the same machine"
    )


if __name__ == "__main__":
    sys.exit(main())
