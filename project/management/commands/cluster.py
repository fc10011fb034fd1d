"""`manage.py cluster`: everything of one host that delivers, watched; the web server runs elsewhere."""

import os
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from notifications.checks import TO_DELIVER
from notifications.runners import CLUSTER_VARIABLE, new_name
from project import embedded, product, systemd
from project.diagnose import diagnose_database
from project.embedded_care import caretaker
from project.supervise import Supervisor
from project.watch import over

_LOOK_EVERY = 2.0  # seconds


class Command(BaseCommand):
    """Runs the delivery cluster and the default one until SIGTERM or Ctrl-C."""

    help = "Deliver, on this host: both queues' clusters, started again when they die or stand still."
    requires_system_checks = TO_DELIVER

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How much of this host it may use."""
        parser.add_argument("--workers", type=int, help="delivery processes (default Q_WORKERS)")

    def handle(self, *, workers: int | None, **_: Any) -> None:
        """Run until asked to stop: the first time in good order, the second at once."""
        if workers is not None and workers < 1:
            raise CommandError("--workers must be 1 or more.")
        environment = {"Q_WORKERS": str(workers)} if workers else {}
        name = new_name()
        os.environ[CLUSTER_VARIABLE] = name
        self.keep_database = caretaker(self.say)
        # Several of them may run on one host, and what keeps the logs there is the init system.
        with Supervisor(log_dir=None, say=self.say, each_second=self.each_second) as supervisor:
            systemd.tell("READY=1")
            if self.wait_for_database(supervisor):
                for child in product.clusters(name, environment):
                    supervisor.start(child)
                self.say(f"The clusters of {name} run. SIGTERM or Ctrl-C stops them.")
                with over(supervisor, name, self.say):
                    supervisor.watch()
            systemd.tell("STOPPING=1")
            self.say("Stopping.")
        connections.close_all()
        embedded.leave(wait=True)
        self.say("Stopped.")

    def wait_for_database(self, supervisor: Supervisor) -> bool:
        """Return True once it can be used; False when asked to stop. A deploy may start us before it migrates."""
        self.look_at, self.said = 0.0, ""

        def is_ready() -> bool:
            if time.monotonic() < self.look_at:
                return False
            found = diagnose_database()
            if not found.is_well and found.detail != self.said:
                self.said = found.detail
                self.say(f"Waiting for the database: {found.detail}.")
            self.look_at = time.monotonic() + _LOOK_EVERY
            return found.is_well

        return supervisor.watch(until=is_ready)

    def each_second(self) -> None:
        """Show systemd that we live, and keep what the children need."""
        systemd.tell("WATCHDOG=1")
        self.keep_database()

    def say(self, line: str) -> None:
        """Show a line at once, also where the output is a pipe."""
        self.stdout.write(line)
        self.stdout.flush()
