"""Hand in mail, one message for one recipient at a time, and say exactly how it went."""

import os
import re
import smtplib
import ssl
import threading
import time
from collections import defaultdict

from . import rotation
from .account import Phase, SendResult, SendStatus, SmtpAccount
from .addresses import NotTakenHere, envelope_address
from .deadline import Deadline
from .dialogue import ChunksNotTaken
from .guard import AddressRefused
from .judge import judge_error, judge_reply
from .oauth import TokenGrant, TokenRefused, TokenUnavailable, access_token, forget
from .session import SmtpSession
from .trail import Trail

SESSION_AGE = 300.0  # seconds
IDLE_AGE = 20.0  # seconds
LOOK_EVERY = 1.0  # seconds between looks for idle connections that nobody takes any more
_LINE_END = re.compile(rb"\r\n|\r|\n")


class _Sessions:
    """The connections that are open and not in use, by account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: defaultdict[SmtpAccount, list[SmtpSession]] = defaultdict(list)
        self._looked_at = 0.0

    def take(self, account: SmtpAccount) -> SmtpSession | None:
        with self._lock:
            idle = self._idle.get(account)
            return idle.pop() if idle else None

    def give_back(self, session: SmtpSession) -> None:
        session.used_at = now = time.monotonic()
        left: list[SmtpSession] = []
        with self._lock:
            if now - self._looked_at > LOOK_EVERY:
                self._looked_at = now
                left += [kept for idle in self._idle.values() for kept in idle if not _is_fresh(kept, now)]
                for kept in left:
                    self._idle[kept.account].remove(kept)
            if session.mails < session.account.mails_per_connection and _is_fresh(session, now):
                self._idle[session.account].append(session)
            else:
                left.append(session)
        for kept in left:
            _leave(kept)

    def drop(self, account: SmtpAccount | None) -> None:
        with self._lock:
            accounts = list(self._idle) if account is None else [account]
            dropped = [session for key in accounts for session in self._idle.pop(key, [])]
        for session in dropped:
            _leave(session)


def _is_fresh(session: SmtpSession, now: float) -> bool:
    return now - session.used_at <= IDLE_AGE and now - session.opened_at <= SESSION_AGE


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

    The whole of it, from fetching a token to the last reply, ends within `account.timeout_seconds`.
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
        talk = _Talk(account, trail)
        try:
            code, reply = talk.hand_in(on_the_wire(message), sender=sender_path, recipient=recipient_path)
            result = judge_reply(code, reply, trail)
            cut = not deadline.finish()
            if cut and result.status is not SendStatus.ACCEPTED:
                result = judge_error(TimeoutError(), trail, cut=True)
            talk.end(keep=result.status is SendStatus.ACCEPTED and not cut)
            return result
        except (TokenRefused, TokenUnavailable, NotTakenHere) as error:
            talk.end(keep=False)
            return _unsendable(trail, *_BEFORE_IT[type(error)], str(error))
        except (OSError, smtplib.SMTPException, AddressRefused, UnicodeError) as error:
            cut = not deadline.finish()
            talk.end(keep=False)
            return judge_error(error, trail, cut=cut)
        except BaseException:
            talk.end(keep=False)
            raise


class _Talk:
    """The session that one mail goes by: a kept one, or a new one."""

    def __init__(self, account: SmtpAccount, trail: Trail) -> None:
        self._account, self._trail = account, trail
        self._session = _kept_session(account, trail)

    def hand_in(self, message: bytes, *, sender: str, recipient: str) -> tuple[int, bytes]:
        kept = self._session
        while True:
            session = self._session = self._session or _new_session(self._account, self._trail)
            try:
                return session.hand_in(message, sender=sender, recipient=recipient)
            except ChunksNotTaken:  # once: it is not offered any again
                self._give_up_chunks(session)
            except (smtplib.SMTPServerDisconnected, ConnectionError, ssl.SSLError):
                if session is not kept or self._trail.phase is not Phase.MAIL or self._trail.deadline.is_cut:
                    raise
                # It closed in the very moment, and has seen nothing of this mail.
                _note_gone(session, self._trail)
            self._session = None

    def _give_up_chunks(self, session: SmtpSession) -> None:
        """Go on anew, as the text may have been read as commands; this process offers that server no chunks again."""
        session.takes_no_chunks()
        self._trail.note("the server offers CHUNKING and does not know BDAT; connecting anew, without it")
        self._trail.phase = Phase.CONNECT
        session.abandon()

    def end(self, *, keep: bool) -> None:
        if self._session is None:
            return
        if keep:
            self._session.mails += 1
            _sessions.give_back(self._session)
        else:
            self._session.abandon()


# What ends a mail before the server has seen anything of it, and whose fault that is.
_BEFORE_IT = {
    TokenRefused: (SendStatus.PROFILE_FAULT, Phase.AUTH, "oauth"),
    TokenUnavailable: (SendStatus.TEMPORARY, Phase.AUTH, "oauth"),
    NotTakenHere: (SendStatus.PERMANENT, Phase.RCPT, "recipient"),
}


def close(account: SmtpAccount | None = None) -> None:
    """Close the connections kept for an account, or all of them."""
    _sessions.drop(account)


def on_the_wire(message: bytes) -> bytes:
    """The message with CRLF line ends only, the last line's included."""
    ends = message.count(b"\r\n")
    if not (message.count(b"\n") == message.count(b"\r") == ends):
        message = _LINE_END.sub(b"\r\n", message)
    return message if message.endswith(b"\r\n") or not message else message + b"\r\n"


def _kept_session(account: SmtpAccount, trail: Trail) -> SmtpSession | None:
    """A connection that still answers, ready for a mail; None if there is none."""
    session = _sessions.take(account)
    if session is None:
        return None
    session.begin(trail)
    if _is_fresh(session, time.monotonic()) and session.alive():
        return session
    _note_gone(session, trail)
    return None


def _note_gone(session: SmtpSession, trail: Trail) -> None:
    trail.note("the kept connection was gone; connecting anew")
    trail.phase = Phase.CONNECT
    session.abandon()


def _new_session(account: SmtpAccount, trail: Trail) -> SmtpSession:
    """Connect and log in; a token that is refused is fetched once more, as it may have been taken back."""
    if account.grant is None:
        return _opened(SmtpSession(account), trail)
    token = _token(account.grant, trail)
    try:
        return _opened(SmtpSession(account, token=token), trail)
    except smtplib.SMTPAuthenticationError as error:
        forget(account.grant, token)
        again = _token(account.grant, trail) if 500 <= error.smtp_code <= 599 else token
        if again == token:
            raise
        trail.note("the access token was refused; a new one was fetched")
        trail.phase = Phase.CONNECT
        return _opened(SmtpSession(account, token=again), trail)


def _opened(session: SmtpSession, trail: Trail) -> SmtpSession:
    session.begin(trail)
    try:
        session.open()
    except BaseException:
        session.abandon()
        raise
    return session


def fetch_token(grant: TokenGrant, deadline: Deadline) -> str:
    """An access token, and a new refresh token kept for whoever writes it down. TokenRefused, TokenUnavailable."""
    return access_token(
        grant, deadline_seconds=deadline.remaining(), on_new_refresh_token=rotation.noting(grant.owner)
    )


def _token(grant: TokenGrant, trail: Trail) -> str:
    token = fetch_token(grant, trail.deadline)
    trail.hide(token)
    trail.note("an access token is at hand")
    return token


def _unsendable(trail: Trail, status: SendStatus, phase: Phase, error_class: str, text: str) -> SendResult:
    trail.note(text)
    return SendResult(
        status=status, phase=phase, error_class=error_class, text=text, transcript=trail.transcript()
    )
