"""`manage.py health`: whether this installation works, for people, containers and monitors."""

import json
import os
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from project.diagnose import diagnose


class Command(BaseCommand):
    """Prints a line for each check."""

    help = "Say whether the database, delivery and the schedules are well. Exit status 0: all of them are."
    # They may need the database, for longer than we would wait.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How old due work may be, and for whom the output is."""
        parser.add_argument(
            "--max-age",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="due work may be so old (default 60)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, max_age: float, **options: Any) -> None:
        """Look, print, and exit 0 or 1."""
        found = diagnose(max_age=max_age)
        is_well = all(finding.is_well for finding in found)
        if options["json"]:
            self.stdout.write(json.dumps({"is_well": is_well, "checks": [asdict(one) for one in found]}))
        else:
            for one in found:
                advice = f" {one.advice}" if one.advice else ""
                self.stdout.write(f"{'OK  ' if one.is_well else 'FAIL'}  {one.name}: {one.detail}.{advice}")
        self.stdout.flush()
        sys.stderr.flush()
        # A thread may still wait for a database that hangs; an orderly exit might wait with it.
        os._exit(0 if is_well else 1)
