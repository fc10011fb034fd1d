"""A PostgreSQL of a test's own, which it may hurt; the test's own connection moves there meanwhile."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from events import sync
from project import embedded, embedded_place


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server, with the product's tables and catalog in it."""

    var_dir: Path

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return embedded_place.find(self.var_dir).socket / ".s.PGSQL.5432"

    def restart_immediately(self) -> int:
        """Stop it without a shutdown, as a crash would; its keeper starts it again. Return the old process id."""
        pid = self.pid()
        os.kill(pid, signal.SIGQUIT)
        return pid

    def pid(self) -> int:
        """Return the process id of the server that runs, or that ran last."""
        data = embedded_place.find(self.var_dir).data
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])


@contextmanager
def own_server(install: Path | None) -> Iterator[Server]:
    """Start one, and use it for everything within the block; commits are durable, as in production."""
    var_dir = Path(tempfile.mkdtemp(prefix="bellwether-fault-"))
    before = dict(connection.settings_dict)
    try:
        # fsync guards against a power cut, which no test makes.
        embedded.join(var_dir, options={"fsync": "off"}, install=install)
        connection.close()
        connection.settings_dict.update(embedded.connection_settings(var_dir))
        call_command("migrate", verbosity=0)
        sync.sync()
        yield Server(var_dir=var_dir)
    finally:
        connection.close()
        connection.settings_dict.clear()
        connection.settings_dict.update(before)
        embedded.discard(var_dir)
        shutil.rmtree(var_dir)
