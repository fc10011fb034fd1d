"""Where a bench runs: a PostgreSQL of its own that is as durable as in production, keys, settings.

Imports nothing of Django: it makes the environment that Django's settings are read from.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import environ
import psycopg
from cryptography.fernet import Fernet

from project import embedded, embedded_place

_PREFIX = "bellwether-bench-"
# Settings of the product that would make one machine's figures another's.
_OURS = ("DATABASE_URL", "SECRET_KEY", "SECRETS_KEYS", "DEBUG", "DELIVERY_THREADS", "DELIVERY_LEASE_SECONDS",
         "OUTBOUND_CONNECT_TO", "OUTBOUND_CA_BUNDLE", "OUTBOUND_PROXY", "Q_WORKERS", "Q_CLUSTER_NAME")  # fmt: skip


class Unhosted(Exception):  # noqa: N818 - named for the fact
    """The bench cannot run here; says why and what to do."""


@contextmanager
def hosted(options: Mapping[str, str]) -> Iterator[Path]:
    """Set the environment for a bench, and yield a folder for its files; all is deleted at the end.

    `options` are PostgreSQL settings that it needs, which BENCH_DATABASE_URL cannot give.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o755)  # nginx's workers read below it
    url = os.environ.get("BENCH_DATABASE_URL", "")
    if url and options:
        shutil.rmtree(folder)
        raise Unhosted("This bench sets up its own PostgreSQL: unset BENCH_DATABASE_URL.")
    try:
        if not url:
            try:
                embedded.join(folder / "var", options=options)
            except embedded.EmbeddedPostgresError as error:
                raise Unhosted(f"{error}\nFor benches, set BENCH_DATABASE_URL.") from None
            url = embedded.database_url(folder / "var")
        with _new_database(url) as made:
            _set_environment(made)
            yield folder
    finally:
        if "BENCH_DATABASE_URL" not in os.environ:
            embedded.discard(folder / "var")
        shutil.rmtree(folder)


def server_folder(folder: Path) -> Path:
    """Return the data folder of the bench's own PostgreSQL."""
    return embedded_place.find(folder / "var").data


@contextmanager
def _new_database(url: str) -> Iterator[str]:
    """Yield the URL of a database made for this run."""
    name = f"bench_{os.getpid()}"
    with _connected(url) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        place, mark, query = url.partition("?")
        yield f"{place.rpartition('/')[0]}/{name}{mark}{query}"
    finally:
        with _connected(url) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _connected(url: str) -> psycopg.Connection:
    entry = environ.Env.db_url_config(url)
    return psycopg.connect(
        host=entry["HOST"] or None,
        port=entry["PORT"] or None,
        dbname=entry["NAME"],
        user=entry["USER"],
        password=entry["PASSWORD"],
        autocommit=True,
        **entry.get("OPTIONS", {}),
    )


def _set_environment(url: str) -> None:
    for name in _OURS:
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": url,
        "SECRET_KEY": "for-benches-only-" + "x" * 50,
        "SECRETS_KEYS": Fernet.generate_key().decode(),
        "OUTBOUND_CONNECT_TO_ALLOWED": "1",
    }


def _sweep() -> None:
    """Delete what killed runs left; their servers stopped by themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, embedded.EmbeddedPostgresError):
            ours = folder.stat().st_uid == os.getuid() and time.time() - folder.stat().st_mtime > 60
            if ours and not embedded.is_used(folder / "var"):
                embedded.discard(folder / "var")
                shutil.rmtree(folder)
