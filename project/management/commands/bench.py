"""`manage.py bench`: measure one target. The measurements are in tests/bench; this only starts them."""

import contextlib
import signal
import subprocess
import sys
from argparse import ArgumentParser
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

# Packages of the development group that every bench imports.
_NEEDED = ("psutil", "trustme", "factory", "pytest")


class Command(BaseCommand):
    """Runs a bench in a process of its own, which has its own database, keys and workers."""

    help = "Measure one target against its baseline, in a database made for it; see docs/performance.md."
    # The database of this installation is not looked at.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which bench, and how thorough."""
        parser.add_argument("name", help="which; an unknown one lists them all")
        parser.add_argument("--json", action="store_true", help="end with one line of JSON, not with a table")
        parser.add_argument("--rounds", type=int, help="pairs of measurements (default: as the bench needs)")
        parser.add_argument("--quick", action="store_true", help="smaller amounts: a look, not a verdict")
        parser.add_argument("--case", default="", help="only the cases whose name contains this")

    def handle(self, *, name: str, json: bool, rounds: int | None, quick: bool, case: str, **_: Any) -> None:
        """Run it; its exit status is ours."""
        if rounds is not None and rounds < 1:
            raise CommandError("--rounds is at least 1.")
        if missing := [package for package in _NEEDED if find_spec(package) is None]:
            raise CommandError(
                f"bench needs the package {missing[0]}: run `uv sync --group demo --group dev`."
            )
        asked = [name, f"--case={case}", *(["--json"] if json else []), *(["--quick"] if quick else [])]
        asked += [f"--rounds={rounds}"] if rounds is not None else []
        measuring = subprocess.Popen([sys.executable, "-m", "tests.bench", *asked], cwd=settings.BASE_DIR)  # noqa: S603
        signal.signal(signal.SIGTERM, lambda *_: measuring.terminate())
        while True:
            # Ctrl-C reaches both of us: it stops what it started, and we wait for that.
            with contextlib.suppress(KeyboardInterrupt):
                sys.exit(measuring.wait())
