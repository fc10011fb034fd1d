"""`manage.py smtp_sink`: a mail server for developers, which keeps what it gets to itself."""

import signal
import threading
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

try:
    from notifications.sinks.authority import kept
    from notifications.sinks.smtp_sink import Mail, SmtpSink
except ImportError as error:  # the dependency group `demo` is not on servers
    MISSING = error.name
else:
    MISSING = None

HOST, PORT = "mail.example.test", 2525
STARTTLS, TLS, NONE = "starttls", "tls", "none"
LOOKS_EVERY = 0.2  # seconds


class Command(BaseCommand):
    """Takes mails on this machine, delivers none of them, and shows each."""

    help = "Receive mail on this machine and print each message; nothing is passed on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where to listen, how to be reached, and what to answer."""
        parser.add_argument("--port", type=int, default=PORT, help=f"listen here ({PORT}; 0: any free one)")
        parser.add_argument("--host", default=HOST, help=f"the SMTP server of the profile ({HOST})")
        parser.add_argument(
            "--profile-port", type=int, default=587, help="the SMTP port of the profile (587)"
        )
        parser.add_argument("--security", choices=[STARTTLS, TLS, NONE], default=STARTTLS, help="(starttls)")
        parser.add_argument("--username", default="", help="ask for a login with this name")
        parser.add_argument("--password", default="", help="and this password")
        parser.add_argument(
            "--reply", default="", help="answer every recipient so, such as “450 4.2.1 try later”"
        )
        parser.add_argument("--delay", type=float, default=0.0, help="seconds before a message is taken (0)")
        parser.add_argument(
            "--count", type=int, default=0, help="end after so many messages (0: Ctrl-C ends it)"
        )

    def handle(self, **options: Any) -> None:
        """Listen until Ctrl-C, SIGTERM or --count."""
        if MISSING:
            raise CommandError(f"{MISSING} is not installed. In a checkout: uv sync --group demo")
        reply = options["reply"]
        if reply and not (reply[:3].isdecimal() and reply[:1] in "245"):
            raise CommandError("--reply begins with its code, such as “450 4.2.1 try later”.")
        if not 0 <= options["delay"] <= 3600:
            raise CommandError("--delay is a number of seconds from 0 to 3600.")
        ca, bundle = kept(Path(settings.BASE_DIR) / "var" / "sinks")
        sink = SmtpSink(
            ca=None if options["security"] == NONE else ca,
            host=options["host"],
            implicit_tls=options["security"] == TLS,
            username=options["username"],
            password=options["password"],
            script=lambda command, _: self._reply(command, options),
            port=options["port"],
            pipelines=True,
            chunks=True,
        )
        try:
            sink.start()
        except OSError as fault:
            raise CommandError(
                f"Port {options['port']}: {fault.strerror}. Choose another by --port."
            ) from fault
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        server = f"{options['host']}:{options['profile_port']}"
        self.stdout.write(
            f"Taking mail for {server} on 127.0.0.1:{sink.port}. Start the product with\n\n"
            f"  OUTBOUND_CONNECT_TO={server}=127.0.0.1:{sink.port} OUTBOUND_CONNECT_TO_ALLOWED=1 \\\n"
            f"  OUTBOUND_CA_BUNDLE={bundle} uv run manage.py up\n\n"
            "(another sink as well: its OUTBOUND_CONNECT_TO entry too, after a comma)\n"
            f"and give an SMTP profile the server {options['host']}, port {options['profile_port']}, "
            f"security {options['security']}. Ctrl-C ends this.\n"
        )
        self.stdout.flush()
        told = 0
        while not ended.is_set():
            for mail in sink.mails[told:]:
                self._tell(mail)
                told += 1
            if options["count"] and told >= options["count"]:
                break
            ended.wait(LOOKS_EVERY)
        sink.stop()
        self.stdout.write(f"{told} messages.")

    def _reply(self, command: str, options: dict[str, Any]) -> str:
        if command == "DATA" and options["delay"]:
            time.sleep(options["delay"])
        return str(options["reply"]) if command == "RCPT" else ""

    def _tell(self, mail: "Mail") -> None:
        message = mail.parsed()
        how = "TLS" if mail.secured else self.style.WARNING("no TLS")
        login = f", logged in as {mail.username}" if mail.username else ""
        self.stdout.write(
            f"{datetime.now(UTC):%H:%M:%S} {mail.sender} → {', '.join(mail.recipients)} ({how}{login})"
        )
        for name in ("From", "To", "Reply-To", "Subject", "Message-ID"):
            if message[name]:
                self.stdout.write(f"  {name}: {message[name]}")
        text = message.get_body(("plain", "html"))
        content = text.get_content() if text else "(no text)"
        self.stdout.write("\n".join(f"  | {line}" for line in str(content).splitlines()))
        self.stdout.flush()
