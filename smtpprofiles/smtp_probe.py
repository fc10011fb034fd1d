"""The steps of a conversation with a mail server, from the name to the test mail."""

import smtplib
import socket
import ssl
from dataclasses import replace
from typing import Any

from django.conf import settings

from . import guard
from .account import Phase, SendStatus, SmtpAccount
from .addresses import NotTakenHere, envelope_address
from .deadline import Deadline
from .guard import AddressRefused
from .judge import judge_error, judge_reply
from .oauth import TokenRefused, TokenUnavailable
from .remedy import remedy
from .sender import fetch_token, on_the_wire
from .session import SmtpSession
from .timeline import Timeline
from .trail import Trail

SETTING = "SMTP_ALLOWED_NETWORKS"


class _ProbeTrail(Trail):
    """A trail whose lines go to the step that they belong to."""

    def __init__(self, deadline: Deadline, account: SmtpAccount, timeline: Timeline) -> None:
        self._timeline = timeline
        super().__init__(deadline, account)

    def client(self, line: str) -> None:
        verb = line.split(" ", maxsplit=1)[0].upper()
        if verb in ("EHLO", "HELO", "STARTTLS"):
            self._timeline.begin("STARTTLS" if verb == "STARTTLS" else "EHLO")
        elif self.phase is Phase.AUTH:
            self._timeline.begin("Login")
        elif self.phase in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.MESSAGE):
            self._timeline.begin("Test mail")
        super().client(line)

    def server(self, code: int, text: bytes) -> None:
        step = self._timeline.begin_if("Greeting", after=("Connect", "Certificate"))
        super().server(code, text)
        if step == "STARTTLS" and 200 <= code <= 299:
            self._timeline.begin("Certificate")

    def note(self, line: str) -> None:
        super().note(line)
        if self.phase is Phase.TLS or (line.startswith("connected to ") and self._starts_with_tls):
            self._timeline.begin_if("Certificate", after=("Connect",))

    def begins_with_tls(self) -> None:
        """Say that TLS comes right after the connection."""
        self._starts_with_tls = True

    _starts_with_tls = False

    def _add(self, line: str) -> None:
        super()._add(line)
        self._timeline.say(line)


def run(account: SmtpAccount, timeline: Timeline, *, recipient: str, message: bytes) -> None:
    """Go through the steps until one fails."""
    with Deadline(account.timeout_seconds) as deadline:
        if not vet_address(timeline, account.host, account.port, SETTING, deadline):
            return
        token = _token(account, timeline, deadline)
        if token is None:
            return
        timeline.begin("Connect")
        trail = _ProbeTrail(deadline, account, timeline)
        trail.hide(token)
        if account.security.value == "tls":
            trail.begins_with_tls()
        # Step by step, for whoever reads it.
        session = SmtpSession(replace(account, asks_first=True), token=token)
        session.begin(trail)
        try:
            session.open()
            _say_certificate(session, timeline)
            if recipient:
                _send(session, timeline, account.sender, recipient, message)
        except NotTakenHere as error:
            timeline.stop(failure=str(error))
        except (OSError, smtplib.SMTPException, AddressRefused, UnicodeError) as error:
            result = judge_error(error, trail, cut=not deadline.finish())
            if isinstance(error, smtplib.SMTPNotSupportedError):
                timeline.begin("STARTTLS" if trail.phase is Phase.TLS else "Login")
            timeline.stop(failure=result.text, advice=remedy(result, account))
        finally:
            deadline.finish()
            session.abandon()


def vet_address(timeline: Timeline, host: str, port: int, setting: str, deadline: Deadline) -> bool:
    """The first two steps: the name's addresses, and whether we may connect to them."""
    timeline.begin("Resolve")
    if guard.connect_to_map(settings.OUTBOUND_CONNECT_TO).get((host.lower().removesuffix("."), port)):
        timeline.say(f"OUTBOUND_CONNECT_TO leads {host}:{port} to another address; nothing is looked up.")
        return True
    try:
        found = [] if guard.literal_address(host) else guard.resolve(host, port, deadline.remaining())
        shown = ", ".join(str(sockaddr[0]) for _, sockaddr in found) or f"{host} is an address"
        timeline.say(shown)
        timeline.begin("Address check")
        allowed = guard.networks(tuple(getattr(settings, setting)), setting)
        resolver = (lambda *_: found) if found else guard.resolve
        guard.vetted_addresses(
            host, port, allowed, timeout=deadline.remaining(), setting=setting, resolver=resolver
        )
        timeline.say("No address is forbidden.")
    except (socket.gaierror, ValueError) as error:
        why = error.strerror if isinstance(error, socket.gaierror) else str(error)
        timeline.stop(failure=f"{host} was not resolved: {why}.", advice="Check how the name is written.")
    except TimeoutError as error:
        timeline.stop(failure=f"{error}.", advice="Check the name server of this machine.")
    except AddressRefused as error:
        timeline.stop(
            failure=f"{error.address} is {error.rule}.",
            advice=f"If this server is meant, an operator adds its network to {setting}.",
        )
    else:
        return True
    return False


def _token(account: SmtpAccount, timeline: Timeline, deadline: Deadline) -> str | None:
    if account.grant is None:
        return ""
    timeline.begin("Access token")
    try:
        token = fetch_token(account.grant, deadline)
    except (TokenRefused, TokenUnavailable) as error:
        is_refused = isinstance(error, TokenRefused)
        advice = (
            "Compare token URL, client id, secret and scope with what is registered." if is_refused else ""
        )
        timeline.stop(failure=str(error), advice=advice or "Try again; check the token URL if it goes on.")
        return None
    timeline.say(f"A token was given by {account.grant.token_url}.")
    return token


def _say_certificate(session: SmtpSession, timeline: Timeline) -> None:
    sock = session.connection.sock if session.connection else None
    if not isinstance(sock, ssl.SSLSocket):
        return
    found: Any = sock.getpeercert() or {}
    issuer = dict(pair for part in found.get("issuer", ()) for pair in part)
    names = ", ".join(str(value) for kind, value in found.get("subjectAltName", ()) if kind == "DNS")
    for step in timeline.steps:
        if step.name == "Certificate":
            by = issuer.get("organizationName") or issuer.get("commonName") or "an authority that is trusted"
            step.said.append(
                f"For {names}, by {by}, until {found.get('notAfter', 'ever')}; {sock.version()}."
            )


def _send(session: SmtpSession, timeline: Timeline, sender: str, recipient: str, message: bytes) -> None:
    timeline.begin("Test mail")
    code, reply = session.hand_in(
        on_the_wire(message), sender=envelope_address(sender), recipient=envelope_address(recipient)
    )
    result = judge_reply(code, reply, session.trail)
    if result.status is not SendStatus.ACCEPTED:
        timeline.stop(failure=f"{code} {result.text}", advice=remedy(result, session.account))
