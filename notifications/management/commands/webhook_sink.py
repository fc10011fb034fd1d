"""`manage.py webhook_sink`: a receiver for developers."""

import signal
import threading
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from notifications.sinks.inspector import Finding, Inspector

try:
    from notifications.sinks.authority import kept
    from notifications.sinks.https_sink import Answer, HttpsSink, Received
except ImportError as error:  # the dependency group `demo` is not on servers
    MISSING = error.name
else:
    MISSING = None

HOST, PORT = "hooks.example.test", 8443


class Command(BaseCommand):
    """Receives callouts over HTTPS on this machine, and tells what it finds in each."""

    help = (
        "Receive webhooks on this machine and print each: whether it is signed, came before, or leaves a gap."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where to listen, what to check with, and how to answer."""
        parser.add_argument("--port", type=int, default=PORT, help=f"listen here ({PORT}; 0: any free one)")
        parser.add_argument("--host", default=HOST, help=f"the name in the endpoint's URL ({HOST})")
        parser.add_argument(
            "--secret",
            action="append",
            default=[],
            help="the endpoint's signing secret (whsec_…) or public key (whpk_…); again for each during a rotation",
        )
        parser.add_argument("--status", type=int, default=204, help="answer with this status (204)")
        parser.add_argument("--delay", type=float, default=0.0, help="seconds before the answer (0)")
        parser.add_argument(
            "--count", type=int, default=0, help="end after so many callouts (0: Ctrl-C ends it)"
        )

    def handle(self, **options: Any) -> None:
        """Listen until Ctrl-C, SIGTERM or --count."""
        if MISSING:
            raise CommandError(f"{MISSING} is not installed. In a checkout: uv sync --group demo")
        if not 200 <= options["status"] <= 599:
            raise CommandError("--status is an HTTP status from 200 to 599.")
        if not 0 <= options["delay"] <= 3600:
            raise CommandError("--delay is a number of seconds from 0 to 3600.")
        try:
            inspector = Inspector(options["secret"])
        except ValueError as fault:
            raise CommandError(f"--secret: {fault}") from fault
        ca, bundle = kept(Path(settings.BASE_DIR) / "var" / "sinks")
        ended = threading.Event()
        teller = _Teller(self, inspector, options, ended)
        try:
            sink = HttpsSink(
                ca=ca, hosts=[options["host"]], script=teller.answer, port=options["port"]
            ).start()
        except OSError as fault:
            raise CommandError(
                f"Port {options['port']}: {fault.strerror}. Choose another by --port."
            ) from fault
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        self.stdout.write(
            f"Receiving for https://{options['host']} (any path) on 127.0.0.1:{sink.port}. Start the product with\n\n"
            f"  OUTBOUND_CONNECT_TO={sink.connect_to(options['host'])} OUTBOUND_CONNECT_TO_ALLOWED=1 \\\n"
            f"  OUTBOUND_CA_BUNDLE={bundle} uv run manage.py up\n\n"
            "(another sink as well: its OUTBOUND_CONNECT_TO entry too, after a comma)\n"
            f"and give an endpoint the base URL https://{options['host']}. Ctrl-C ends this.\n"
        )
        self.stdout.flush()
        ended.wait()
        sink.stop()
        self.stdout.write(teller.summary())


class _Teller:
    """Answers, and writes down what came. Several threads use it."""

    def __init__(
        self, command: Command, inspector: Inspector, options: dict[str, Any], ended: threading.Event
    ) -> None:
        self._command = command
        self._inspector = inspector
        self._options = options
        self._ended = ended
        self._lock = threading.Lock()
        self._told = 0
        self._wrong = 0

    def answer(self, request: "Received") -> "Answer":
        """Tell what was found, and answer as asked; 401 to what is not signed right."""
        with self._lock:
            finding = self._inspector.look(request.headers, request.body, now=time.time())
            status = 401 if finding.is_verified is False else self._options["status"]
            if not 200 <= status <= 299:
                self._inspector.forget(request.headers.get("webhook-id", ""))
            self._tell(request, finding, status)
        if self._options["delay"]:
            time.sleep(self._options["delay"])
        if self._told == self._options["count"]:
            # After this answer is on its way.
            threading.Timer(0.2, self._ended.set).start()
        return status, {"Content-Type": "text/plain"}, b"" if status == 204 else finding.signature.encode()

    def summary(self) -> str:
        """Return how many came."""
        return f"{self._told} callouts, {self._wrong} of them not signed as they should be."

    def _tell(self, request: "Received", finding: Finding, status: int) -> None:
        self._told += 1
        self._wrong += finding.is_verified is False
        style = self._command.style
        paint = {True: style.SUCCESS, False: style.ERROR, None: style.WARNING}[finding.is_verified]
        headers = request.headers
        out = self._command.stdout
        out.write(
            f"{datetime.now(UTC):%H:%M:%S} {request.method} {request.path}  {headers.get('webhook-id', 'no id')}"
        )
        out.write(f"  {paint(finding.signature)}; answered {status}")
        if finding.is_repeated:
            out.write(f"  {style.WARNING('REPEATED: this webhook-id came before; handle it once')}")
        if finding.is_in_order:
            lane = f"  lane {headers.get('bellwether-lane')}, number {headers.get('bellwether-sequence')}"
            out.write(f"{lane}{': ' + style.WARNING(finding.order) if finding.order else ''}")
        out.write(_indented(request.body))
        out.flush()


def _indented(body: bytes) -> str:
    try:
        # Not parsed and written again: 19.90 must not be shown as 19.9.
        shown = msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = f"(no JSON) {body.decode('utf-8', 'replace')}"
    return "\n".join(f"  {line}" for line in shown.splitlines())
