"""Hand in mail, one message for one recipient at a time, and say exactly how it went."""

import os
import re
import smtplib
import threading
import time
from collections import defaultdict

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .account import Phase, SendResult, SendStatus, SmtpAccount
from .deadline import Deadline
from .guard import AddressRefused
from .judge import judge_error, judge_reply
from .session import SmtpSession, Trail

MAILS_A_SESSION = 100
SESSION_AGE = 300.0  # seconds
IDLE_AGE = 20.0  # seconds
_LINE_END = re.compile(rb"\r\n|\r|\n")


class _Sessions:
    """The connections that are open and not in use, by account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: defaultdict[SmtpAccount, list[SmtpSession]] = defaultdict(list)

    def take(self, account: SmtpAccount) -> SmtpSession | None:
        with self._lock:
            idle = self._idle.get(account)
            return idle.pop() if idle else None

    def give_back(self, session: SmtpSession) -> None:
        now = time.monotonic()
        session.used_at = now
        with self._lock:
            self._idle[session.account].append(session)
            stale = [
                kept
                for sessions in self._idle.values()
                for kept in sessions
                if now - kept.used_at > IDLE_AGE or now - kept.opened_at > SESSION_AGE
            ]
            stale += [session] if session.mails >= MAILS_A_SESSION and session not in stale else []
            for kept in stale:
                self._idle[kept.account].remove(kept)
        for kept in stale:
            _leave(kept)

    def drop(self, account: SmtpAccount | None) -> None:
        with self._lock:
            accounts = list(self._idle) if account is None else [account]
            dropped = [session for key in accounts for session in self._idle.pop(key, [])]
        for session in dropped:
            _leave(session)


def _leave(session: SmtpSession) -> None:
    with Deadline(2) as deadline:
        session.begin(Trail(deadline, session.account))
        session.quit()


_sessions = _Sessions()


def _start_afresh() -> None:
    global _sessions  # noqa: PLW0603 - a forked child must not speak on its parent's connections
    _sessions = _Sessions()


os.register_at_fork(after_in_child=_start_afresh)


def send(account: SmtpAccount, message: bytes, *, sender: str, recipient: str) -> SendResult:
    """Hand in one message (RFC 5322, any line ends) for one recipient; whatever happens is the result.

    The whole of it, from looking up the name to the last reply, ends within `account.timeout_seconds`.
    A connection is kept for the next mail of the same account, and closed after any failure.
    """
    with Deadline(account.timeout_seconds) as deadline:
        trail = Trail(deadline, account)
        try:
            recipient_path = envelope_address(recipient)
        except ValueError as error:
            return _unsendable(trail, SendStatus.PERMANENT, Phase.RCPT, "recipient", str(error))
        try:
            sender_path = envelope_address(sender)
        except ValueError as error:
            return _unsendable(trail, SendStatus.PROFILE_FAULT, Phase.MAIL, "sender", str(error))
        session = _ready_session(account, trail)
        try:
            session.open()
            code, reply = session.hand_in(on_the_wire(message), sender=sender_path, recipient=recipient_path)
            result = judge_reply(code, reply, trail)
            cut = not deadline.finish()
            if cut and result.status is not SendStatus.ACCEPTED:
                result = judge_error(TimeoutError(), trail, cut=True)
        except (OSError, smtplib.SMTPException, AddressRefused, UnicodeError) as error:
            cut = not deadline.finish()
            session.abandon()
            return judge_error(error, trail, cut=cut)
        except BaseException:
            session.abandon()
            raise
        if result.status is SendStatus.ACCEPTED and not cut:
            session.mails += 1
            _sessions.give_back(session)
        else:
            session.abandon()
        return result


def close(account: SmtpAccount | None = None) -> None:
    """Close the connections kept for an account, or all of them."""
    _sessions.drop(account)


def envelope_address(address: str) -> str:
    """An address as SMTP's envelope takes it, its domain in ASCII; ValueError says what is wrong."""
    local, _, domain = address.rpartition("@")
    try:
        validate_email(address)
        if not local.isascii():
            raise ValueError(f"The address {address} has letters outside ASCII before the @.")
        if re.search(r"[\s<>\x00-\x1f\x7f]", address):
            raise ValueError(f"The address {address!r} holds a character that no address may hold.")
        if domain.isascii():
            return address
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except (ValidationError, idna.IDNAError) as error:
        raise ValueError(f"{address!r} is not an email address.") from error


def on_the_wire(message: bytes) -> bytes:
    """The message as DATA takes it: CRLF line ends only, leading dots doubled, the closing dot added."""
    lines = _LINE_END.split(message)
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


def _ready_session(account: SmtpAccount, trail: Trail) -> SmtpSession:
    session = _sessions.take(account)
    if session is not None:
        now = time.monotonic()
        fresh = now - session.used_at <= IDLE_AGE and now - session.opened_at <= SESSION_AGE
        session.begin(trail)
        if fresh and session.alive():
            return session
        trail.note("the kept connection was gone; connecting anew")
        trail.phase = Phase.CONNECT
        session.abandon()
    session = SmtpSession(account)
    session.begin(trail)
    return session


def _unsendable(trail: Trail, status: SendStatus, phase: Phase, error_class: str, text: str) -> SendResult:
    trail.note(text)
    return SendResult(
        status=status, phase=phase, error_class=error_class, text=text, transcript=trail.transcript()
    )
