"""`manage.py up`: the whole product on one machine."""

import json
import os
import socket
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from notifications.runners import CLUSTER_VARIABLE, new_name
from project import embedded, product, systemd
from project.demo import remains
from project.embedded_care import caretaker
from project.first_start import Welcome, curl, welcome
from project.listen import NoPortError, listen
from project.sole import NotAloneError, sole
from project.supervise import Supervisor
from project.watch import over

try:
    from project.demo.run import Demo
    from project.demo.verdict import NOTHING, Verdict
except ModuleNotFoundError as error:  # Production leaves out the packages of the demo's receivers.
    MISSING = str(error.name)
else:
    MISSING = ""

# For the web server to answer, when nobody is there to wait longer.
_PATIENCE = 60.0


class Command(BaseCommand):
    """Prepares the database, then runs the web server and both clusters until Ctrl-C or SIGTERM."""

    help = "Run the whole product on this machine: database, web server and delivery."
    # They are run in `prepare`, the database's among them.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where the web server listens."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")
        parser.add_argument(
            "--demo",
            action="store_true",
            help="add a sample configuration and local receivers, and send every kind of event to them",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="with --demo: stop after it; exit 0 only if every event arrived, and end with a line of JSON",
        )

    def handle(self, *, host: str, port: int, demo: bool, check: bool, **_: Any) -> None:
        """Run until asked to stop, or with `check` until the demo is over."""
        if check and not demo:
            raise CommandError("--check judges the demo: write `manage.py up --demo --check`.")
        if demo and MISSING:
            raise CommandError(f"--demo needs the package {MISSING}: run `uv sync --group demo`.")
        self.is_embedded = embedded.is_joined()
        self.stays = not check
        self.demo = self.make_demo() if demo else None
        self.verdict: Verdict | None = None
        self.keep_database = caretaker(self.say)
        # For our own questions, too: whether our workers have come up.
        os.environ[CLUSTER_VARIABLE] = new_name()
        supervisor = Supervisor(log_dir=settings.VAR_DIR / "logs", say=self.say, each_second=self.each_second)
        # The demo's receivers outlive the processes that send to them.
        with self.alone(), self.listen(host, port) as web, ExitStack() as receivers, supervisor:
            self.prepare()
            around = receivers.enter_context(self.demo.prepared()) if self.demo else {}
            self.run(supervisor, web, around)
        connections.close_all()
        embedded.leave(wait=True)
        self.say("Stopped.")
        if check:
            verdict = self.verdict or NOTHING
            self.say(json.dumps(verdict.summary))
            if not verdict.is_good:
                sys.exit(1)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Refuse to run beside another `up` of this checkout: they would share its keys, logs and database."""
        with ExitStack() as held:
            try:
                held.enter_context(sole(settings.VAR_DIR / "locks" / "up.lock"))
            except NotAloneError as error:
                raise CommandError(str(error)) from error
            yield

    def listen(self, host: str, port: int) -> closing[socket.socket]:
        """Take the port, or the next free one, and say so."""
        try:
            web = listen(host, port)
        except NoPortError as error:
            raise CommandError(str(error)) from error
        taken = web.getsockname()[1]
        if taken != port:
            self.say(f"Port {port} is taken by another program; using {taken}.")
        return closing(web)

    def prepare(self) -> None:
        """Bring the database up to date, and refuse to start on a wrong configuration."""
        self.say("Preparing the database.")
        self.check(databases=["default"])
        call_command("migrate", verbosity=0, interactive=False)
        call_command("sync_catalog", stdout=self.stdout)
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)

    def run(self, supervisor: Supervisor, web: socket.socket, around: Mapping[str, str]) -> None:
        """Start the processes and run until asked to stop.

        `around` is what their environment has besides ours.
        """
        url = product.local_url(web)
        given = "BASE_URL" in os.environ or "BASE_URL_FILE" in os.environ
        environment = {"BASE_URL": settings.BASE_URL if given else url, **around}
        name = os.environ[CLUSTER_VARIABLE]
        for child in (product.web_server(web, environment), *product.clusters(name, environment)):
            supervisor.start(child)
        with over(supervisor, name, self.say):
            self.stay(supervisor, web, url)
        self.say("Stopping.")

    def stay(self, supervisor: Supervisor, web: socket.socket, url: str) -> None:
        """Show where the console is, and watch until asked to stop, or until the check is over."""
        if self.wait_for(web, supervisor):
            if first := welcome():
                self.greet(first, url)
            systemd.tell("READY=1")
            self.say(f"The console is at {url}/admin/. Ctrl-C stops everything.")
            if not self.demo and remains.are_here():
                self.say(remains.advice(is_embedded=self.is_embedded))
            if self.demo:
                self.verdict = self.demo.play(url, supervisor.watch)
                if self.stays and not supervisor.stopping:
                    self.demo.invite(url, is_first=first is not None)
            if self.stays:
                supervisor.watch()

    def wait_for(self, web: socket.socket, supervisor: Supervisor) -> bool:
        """Return True once the web server answers; False when asked to stop, or when a check has no more time."""
        gives_up = float("inf") if self.stays else time.monotonic() + _PATIENCE
        supervisor.watch(until=lambda: product.answers(web) or time.monotonic() > gives_up)
        if supervisor.stopping:
            return False
        if product.answers(web):
            return True
        self.say(f"The web server did not answer within {_PATIENCE:.0f} s.")
        return False

    def each_second(self) -> None:
        """Show systemd that we live, and keep what the children need."""
        systemd.tell("WATCHDOG=1")
        self.keep_database()

    def greet(self, first: Welcome, url: str) -> None:
        """Show what is shown only once."""
        self.say(
            f"\nAn administrator and an API key were made. They are shown only now:\n\n"
            f"  user      {first.username}\n"
            f"  password  {first.password}\n"
            f"  API key   {first.api_key}\n\n"
            f"Publish a first event:\n\n  {curl(url, first.api_key)}\n"
        )

    def make_demo(self) -> "Demo":
        """Return the demo, which shows its progress as we show everything else."""

        def write(text: str) -> None:
            self.stdout.write(text, ending="")
            self.stdout.flush()

        return Demo(var_dir=settings.VAR_DIR, write=write, is_terminal=self.stdout.isatty())

    def say(self, line: str) -> None:
        """Show a line at once, also where the output is a pipe."""
        self.stdout.write(line)
        self.stdout.flush()
