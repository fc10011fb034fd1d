"""Use the embedded PostgreSQL, a real server of ours on a Unix socket, where no DATABASE_URL names another.

Any number of processes may `join`; `project.keeper` runs the server until the last of them has ended.
This module is imported before Django's settings, and by them.
"""

import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from project import embedded_place
from project.embedded_place import EmbeddedPostgresError, Place

__all__ = [
    "EmbeddedPostgresError",
    "connection_settings",
    "database_url",
    "discard",
    "is_joined",
    "is_used",
    "join",
    "leave",
]

BASE_DIR = Path(__file__).resolve().parent.parent
_NAME = "bellwether"
# Crash recovery of a busy database, or the orderly stop of one, may take this long.
_PATIENCE = 120.0
# The shared lock that makes this process a user, by var folder; children of a fork share it.
_joined: dict[Path, int] = {}


def join(
    var_dir: Path | None = None, *, options: Mapping[str, str] | None = None, install: Path | None = None
) -> None:
    """Become a user of the server, and start it if nobody runs it; calling it again costs next to nothing.

    `options` are PostgreSQL's own settings, `install` the folder of its bin and lib; both count only for
    whoever starts the server.
    EmbeddedPostgresError says why it cannot be.
    """
    var_dir = (var_dir or BASE_DIR / "var").resolve()
    locks = var_dir / "locks"
    if var_dir in _joined and _kept(locks):
        return
    install = install or embedded_place.installed()
    try:
        locks.mkdir(parents=True, exist_ok=True)
        start = _open(locks / "start.lock")
    except OSError as error:
        raise EmbeddedPostgresError(
            f"{error.filename}: {error.strerror}. Run as the owner of {var_dir}."
        ) from error
    try:
        _wait_for_lock(start, fcntl.LOCK_EX, "another start or stop of the embedded PostgreSQL")
        if var_dir not in _joined:
            _joined[var_dir] = _open(locks / "users.lock")
        _wait_for_lock(_joined[var_dir], fcntl.LOCK_SH, "the stop of the embedded PostgreSQL")
        place = embedded_place.prepare(var_dir)
        password = _password(var_dir)
        if not _kept(locks):
            _spawn_keeper(install, place, var_dir, password, options or {})
        _wait_until_ready(place, var_dir, password)
    except BaseException:
        leave(var_dir)
        raise
    finally:
        os.close(start)


def leave(var_dir: Path | None = None, *, wait: bool = False) -> None:
    """Stop using the server; it stops within about a second if nobody else uses it.

    With `wait`, return only once it has stopped, or at once if somebody else uses it.
    """
    var_dir = (var_dir or BASE_DIR / "var").resolve()
    users = _joined.pop(var_dir, None)
    if users is not None:
        os.close(users)
    deadline = time.monotonic() + _PATIENCE
    while wait and time.monotonic() < deadline and _kept(var_dir / "locks"):
        if _used(var_dir / "locks"):
            return
        time.sleep(0.05)


def is_joined(var_dir: Path | None = None) -> bool:
    """Whether this process is a user of the server."""
    return (var_dir or BASE_DIR / "var").resolve() in _joined


def is_used(var_dir: Path) -> bool:
    """Whether any process is a user of the server."""
    return _used(var_dir.resolve() / "locks")


def discard(var_dir: Path) -> None:
    """Leave, wait for the server's end, and delete its data; for tests. Other users must have left."""
    leave(var_dir, wait=True)
    if _kept(var_dir / "locks"):
        raise EmbeddedPostgresError(f"The server in {var_dir} is still in use.")
    embedded_place.remove(var_dir)


def connection_settings(var_dir: Path) -> dict[str, Any]:
    """Return Django's DATABASES entry for the server, whether it runs or not."""
    password = _password_file(var_dir)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _NAME,
        "USER": _NAME,
        "PASSWORD": password.read_text() if password.exists() else "",
        "HOST": str(embedded_place.find(var_dir).socket),
        "PORT": "5432",
    }


def database_url(var_dir: Path) -> str:
    """Return the same as a DATABASE_URL, in the form that django-environ reads for a socket's folder."""
    entry = connection_settings(var_dir)
    return f"postgresql://{entry['USER']}:{quote(entry['PASSWORD'])}@/{quote(entry['HOST'])}/{entry['NAME']}"


def _spawn_keeper(
    install: Path, place: Place, var_dir: Path, password: str, options: Mapping[str, str]
) -> None:
    """Start the keeper, and return once it holds its lock."""
    log = _log(var_dir)
    log.parent.mkdir(exist_ok=True)
    if place.account is not None:
        install = embedded_place.reachable(install, place.account)
    spec = {
        "install": str(install),
        "home": str(place.home),
        "socket": str(place.socket),
        "locks": str(var_dir / "locks"),
        "log": str(log),
        "account": place.account.pw_name if place.account else "",
        "options": dict(options),
    }
    # It gives up its own standard files once it runs by itself; until then they tell us what failed.
    started = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "project.keeper", json.dumps(spec)],
        cwd=BASE_DIR, input=password, text=True, capture_output=True, check=False,
    )  # fmt: skip
    if started.returncode != 0:
        raise EmbeddedPostgresError(f"The embedded PostgreSQL did not start: {started.stderr.strip()}")


def _wait_until_ready(place: Place, var_dir: Path, password: str) -> None:
    """Return once the server answers and has our role and database."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection = psycopg.connect(
                host=str(place.socket), port=5432, dbname="postgres", user="postgres", password=password,
                autocommit=True, connect_timeout=5,
            )  # fmt: skip
            break
        except psycopg.OperationalError as error:
            kept = _kept(var_dir / "locks")
            if not kept or time.monotonic() > deadline:
                raise EmbeddedPostgresError(_failure(error, kept=kept, log=_log(var_dir))) from error
            time.sleep(0.05)
    with connection:
        # Not the superuser: the product then needs no right that a hosted PostgreSQL would refuse.
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_NAME]).fetchone():
            role = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
            connection.execute(role.format(sql.Identifier(_NAME), sql.Literal(password)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_NAME]).fetchone():
            database = sql.SQL("CREATE DATABASE {0} OWNER {0}")
            connection.execute(database.format(sql.Identifier(_NAME)))


def _failure(error: psycopg.Error, *, kept: bool, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
    state = "does not answer" if kept else "did not start"
    return "\n  ".join([f"The embedded PostgreSQL {state}: {error}", f"The end of {log}:", *lines])


def _password(var_dir: Path) -> str:
    """Return the kept password, made on the first start; call it with start.lock held."""
    path = _password_file(var_dir)
    if not path.exists():
        draft = path.with_name(f"{path.name}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
        draft.rename(path)
    return path.read_text()


def _password_file(var_dir: Path) -> Path:
    return var_dir / "postgres.password"


def _log(var_dir: Path) -> Path:
    return var_dir / "logs" / "postgres.log"


def _kept(locks: Path) -> bool:
    """Whether a keeper runs."""
    try:
        keeper = os.open(locks / "keeper.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(keeper, fcntl.LOCK_SH)
    finally:
        os.close(keeper)


def _used(locks: Path) -> bool:
    """Whether somebody is a user; the keeper, which locks it alone to stop the server, is none."""
    users = _open(locks / "users.lock")
    try:
        return not _lock(users, fcntl.LOCK_EX) and _lock(users, fcntl.LOCK_SH)
    finally:
        os.close(users)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(descriptor: int, operation: int, holder: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _lock(descriptor, operation):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"Waited {_PATIENCE:.0f} s for {holder}, in vain.")
        time.sleep(0.05)
