"""What the demo's mail servers took in: each message parsed as a mail reader would, and timed."""

import html
import re
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr

from notifications.sinks.smtp_sink import Mail, SmtpSink

_MESSAGE_ID = re.compile(r"<([^@<>]+)@[^@<>]+>")


@dataclass(frozen=True, kw_only=True)
class Letterhead:
    """What a mail must show of the SMTP profile by which it leaves."""

    profile: str
    from_name: str
    from_address: str
    username: str


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One message; `id` is the left part of its Message-ID, `at` the monotonic clock at its arrival."""

    number: int
    id: str
    at: float
    profile: str
    mail: Mail
    message: EmailMessage


class Mailbox:
    """Takes the messages out of mail servers as they come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: list[Arrival] = []

    @contextmanager
    def emptied_from(self, sink: SmtpSink, profile: str) -> Iterator[None]:
        """Take in what comes to the server, inside the block."""
        ended = threading.Event()
        thread = threading.Thread(target=self._empty, args=(sink, profile, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def arrivals(self) -> list[Arrival]:
        """Return what came so far, in order of arrival."""
        with self._lock:
            return list(self._arrivals)

    def _empty(self, sink: SmtpSink, profile: str, ended: threading.Event) -> None:
        taken = 0
        while not ended.is_set():
            sink.wait_for(taken + 1, timeout=0.2)
            at = time.monotonic()
            for mail in sink.mails[taken:]:
                taken += 1
                self._keep(mail, profile, at)

    def _keep(self, mail: Mail, profile: str, at: float) -> None:
        message = mail.parsed()
        found = _MESSAGE_ID.fullmatch(str(message.get("Message-ID", "")).strip())
        with self._lock:
            self._arrivals.append(
                Arrival(
                    number=len(self._arrivals) + 1,
                    id=found[1] if found else "",
                    at=at,
                    profile=profile,
                    mail=mail,
                    message=message,
                )
            )


def incomplete(
    arrival: Arrival, *, letterhead: Letterhead, recipient: str, values: Collection[str]
) -> list[str]:
    """Return what is wrong with a message, one sentence each: its sender, recipient, subject or texts."""
    faults = []
    message, mail = arrival.message, arrival.mail
    if arrival.profile != letterhead.profile or mail.username != letterhead.username:
        faults.append(f"It left by the profile {arrival.profile} as {mail.username or 'nobody'}.")
    if parseaddr(str(message["From"])) != (letterhead.from_name, letterhead.from_address):
        faults.append(f"It is from {message['From']}.")
    if mail.recipients != (recipient,) or parseaddr(str(message["To"]))[1] != recipient:
        faults.append(f"It went to {', '.join(mail.recipients)} and names {message['To']}.")
    if not mail.secured:
        faults.append("It came in clear text.")
    parts = {
        "subject": str(message["Subject"] or ""),
        "text": _content(message, "plain"),
        "HTML": html.unescape(_content(message, "html")),
    }
    for name, text in parts.items():
        if not text.strip() or "{{" in text or "{%" in text:
            faults.append(f"Its {name} is empty, or holds Liquid.")
    for name in ("text", "HTML"):
        missing = [value for value in values if value not in parts[name]]
        if missing:
            faults.append(f"Its {name} lacks {', '.join(missing)}.")
    return faults


def _content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if isinstance(part, EmailMessage) else ""
