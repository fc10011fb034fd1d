"""`manage.py deliver`: the engine without django-q2."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from notifications.checks import TO_DELIVER
from notifications.engine import Engine


class Command(BaseCommand):
    """Runs one worker in this process."""

    help = "Deliver what is due, in this process, until stopped."
    requires_system_checks = TO_DELIVER

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --once."""
        parser.add_argument("--once", action="store_true", help="end when nothing is due any more")

    def handle(self, *, once: bool, **_: Any) -> None:
        """Run until idle, Ctrl-C or SIGTERM; sends under way finish first."""
        engine = Engine(until_idle=once)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: engine.stop())
        self.stdout.write(f"{engine.run()} tries settled.")
