"""`manage.py up`: the whole product on one machine."""

import os
import socket
from argparse import ArgumentParser
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from project import embedded, product
from project.first_start import Welcome, curl, welcome
from project.listen import NoPortError, listen
from project.supervise import Supervisor


class Command(BaseCommand):
    """Prepares the database, then runs the web server and both clusters until Ctrl-C or SIGTERM."""

    help = "Run the whole product on this machine: database, web server and delivery."
    # They are run in `prepare`, the database's among them.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where the web server listens."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")

    def handle(self, *, host: str, port: int, **_: Any) -> None:
        """Run until asked to stop."""
        self.is_embedded = embedded.is_joined()
        supervisor = Supervisor(
            log_dir=settings.VAR_DIR / "logs", say=self.say, each_second=self.keep_database
        )
        with self.listen(host, port) as web, supervisor:
            self.prepare()
            self.run(supervisor, web)
        connections.close_all()
        embedded.leave(wait=True)
        self.say("Stopped.")

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

    def run(self, supervisor: Supervisor, web: socket.socket) -> None:
        """Start the processes, show where the console is, and watch until asked to stop."""
        url = product.local_url(web)
        given = "BASE_URL" in os.environ or "BASE_URL_FILE" in os.environ
        for child in product.children(web, settings.BASE_URL if given else url):
            supervisor.start(child)
        if supervisor.watch(until=lambda: product.answers(web)):
            if first := welcome():
                self.greet(first, url)
            self.say(f"The console is at {url}/admin/. Ctrl-C stops everything.")
            supervisor.watch()
        self.say("Stopping.")

    def keep_database(self) -> None:
        """Start the embedded database again, should it and its keeper have been killed."""
        if self.is_embedded:
            try:
                embedded.join()
            except embedded.EmbeddedPostgresError as error:
                self.say(str(error))

    def greet(self, first: Welcome, url: str) -> None:
        """Show what is shown only once."""
        self.say(
            f"\nAn administrator and an API key were made. They are shown only now:\n\n"
            f"  user      {first.username}\n"
            f"  password  {first.password}\n"
            f"  API key   {first.api_key}\n\n"
            f"Publish a first event:\n\n  {curl(url, first.api_key)}\n"
        )

    def say(self, line: str) -> None:
        """Show a line at once, also where the output is a pipe."""
        self.stdout.write(line)
        self.stdout.flush()
