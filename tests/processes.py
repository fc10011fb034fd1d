"""Real worker processes on the test database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """Return the environment in which a process of the product finds the test's database and receivers."""
    database = connection.settings_dict
    host, port = database["HOST"], f":{database['PORT']}" if database["PORT"] else ""
    place = f"/{quote(host)}" if host.startswith("/") else f"{host}{port}"
    credentials = quote(database["USER"]) + ":" + quote(database["PASSWORD"])
    return os.environ | {
        "DATABASE_URL": f"postgres://{credentials}@{place}/{database['NAME']}",
        "OUTBOUND_CONNECT_TO": ",".join(settings.OUTBOUND_CONNECT_TO),
        "OUTBOUND_CONNECT_TO_ALLOWED": "1",
        "OUTBOUND_CA_BUNDLE": settings.OUTBOUND_CA_BUNDLE,
    }


@contextmanager
def manage(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a management command beside the test; it is killed at the end, should it still run."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment() | variables
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
