"""PostgreSQL servers of a test's own, from the embedded binaries: to fill their disk, kill them, promote them."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections

from project import embedded_place

PATIENCE = 60.0  # seconds
_NAME = "bellwether"
_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


class Server:
    """One server in a folder of its own, reached over a socket in it; as root it runs as another user."""

    def __init__(self, home: Path, *, account: pwd.struct_passwd | None, install: Path) -> None:
        self.home = home
        self.data = home / "data"
        self._bin = install / "bin"
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self, *, wal: Path | None = None) -> None:
        """Make an empty cluster; `wal` is a folder elsewhere for its write-ahead log."""
        arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        arguments += ["--wal-segsize=1", *([f"--waldir={wal}"] if wal else [])]
        self.run("initdb", "-D", str(self.data), *arguments)

    def copy_of(self, primary: "Server") -> None:
        """Make a standby that follows another server."""
        self.run(
            "pg_basebackup", "-D", str(self.data), "-h", str(primary.home), "-U", "postgres",
            "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip

    def start(self, **settings: str) -> None:
        """Start it with these settings, and return once it answers."""
        given = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.home),
            "shared_buffers": "16MB",
            "max_wal_size": "32MB",
            "min_wal_size": "2MB",
            "fsync": "off",
            "timezone": "UTC",
        } | settings
        options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, *options],
                stdout=log, stderr=log, start_new_session=True, **self._as_account(),
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.home / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError), self.connect("postgres"):
            return True
        return False

    def connect(self, database: str = _NAME) -> psycopg.Connection[Any]:
        """Connect as the superuser."""
        return psycopg.connect(host=str(self.home), user="postgres", dbname=database, autocommit=True)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_account())
        assert done.returncode == 0, done.stderr

    def _as_account(self) -> dict[str, Any]:
        place = {"cwd": self.home, "env": _ENVIRONMENT}
        if self._account is None:
            return place
        return place | {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def copy_database(self) -> None:
        """Make a copy of the test's database."""
        ours = connection.settings_dict
        environment = _ENVIRONMENT | {"PGPASSWORD": ours["PASSWORD"]}
        dump = subprocess.run(
            [self._bin / "pg_dump", "--no-owner", "-h", ours["HOST"], "-p", str(ours["PORT"] or 5432),
             "-U", ours["USER"], ours["NAME"]],
            env=environment, capture_output=True, check=True,
        ).stdout  # fmt: skip
        with self.connect("postgres") as superuser:
            superuser.execute(f"CREATE DATABASE {_NAME}")
        subprocess.run(
            [self._bin / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.home, "-U", "postgres", "-d", _NAME],
            input=dump, env=_ENVIRONMENT, capture_output=True, check=True,
        )  # fmt: skip

    def own(self, folder: Path) -> None:
        """Give a folder to the server's user."""
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)

    def kill(self) -> None:
        """Kill every process of it at once, as a power cut does."""
        if self._process is None:
            return
        postmaster, self._process = self._process, None
        # Each is a group of its own, so they are asked for while their parent still knows them.
        children = Path(f"/proc/{postmaster.pid}/task/{postmaster.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        postmaster.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        postmaster.wait()
        deadline = time.monotonic() + PATIENCE
        while any(_runs(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def set(self, **settings: str) -> None:
        """Change settings of the running server, for every session from now on."""
        with self.connect("postgres") as superuser:
            for name, value in settings.items():
                superuser.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            superuser.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Turn a standby into a primary."""
        with self.connect("postgres") as superuser:
            row = superuser.execute("SELECT pg_promote(true, 60)").fetchone()
        assert row == (True,)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def servers(count: int = 1) -> Iterator[list[Server]]:
    """Lend so many servers that are not initialised yet; they and their data are gone afterwards."""
    account = embedded_place._unprivileged() if os.geteuid() == 0 else None
    install = embedded_place.installed()
    if account is not None:
        embedded_place.ROOT_HOME.mkdir(exist_ok=True)
        install = embedded_place.reachable(install, account)
    # A socket's path has to be short, and its user must be able to get there.
    homes = [Path(tempfile.mkdtemp(prefix="bellwether-own-", dir="/tmp")) for _ in range(count)]
    made = []
    for home in homes:
        made.append(Server(home, account=account, install=install))
        made[-1].own(home)
    try:
        yield made
    finally:
        for server in made:
            server.kill()
            shutil.rmtree(server.home)


@contextmanager
def database_at(host: str, port: int | str = "") -> Iterator[None]:
    """Let all of this process use the own server's database instead of the test's."""
    settings = connections.settings[DEFAULT_DB_ALIAS]
    kept, usual = deepcopy(settings), connections[DEFAULT_DB_ALIAS]
    place = {"HOST": host, "PORT": str(port), "NAME": _NAME, "USER": "postgres", "PASSWORD": ""}
    settings.update(place)
    session = connections.create_connection(DEFAULT_DB_ALIAS)
    connections[DEFAULT_DB_ALIAS] = session
    try:
        yield
    finally:
        session.close()
        connections[DEFAULT_DB_ALIAS] = usual
        settings.clear()
        settings.update(kept)
