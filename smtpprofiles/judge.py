"""What a mail server's words, or its silence, mean for one mail.

A failure belongs to the mail only where another mail could fare better through the same profile;
what lies with the profile (its password, its certificate, its address) spends no attempt of anybody's.
"""

import re
import smtplib
import socket
import ssl

from .account import Phase, SendResult, SendStatus
from .guard import AddressRefused
from .trail import Trail

_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
# 530 authentication or TLS required; 534, 535, 538 credentials refused or too weak.
_CREDENTIAL_CODES = {530, 534, 535, 538}
# As some providers say it with a 550: log in properly, or basic authentication has been retired.
_CREDENTIAL_ENHANCED = {"5.7.8", "5.7.9", "5.7.30", "5.7.57", "5.7.139"}


def judge_reply(code: int, reply: bytes, trail: Trail) -> SendResult:
    """The result that a server's reply stands for, given how far the conversation has come."""
    text = trail.mask(reply.decode("utf-8", "replace")).replace("\n", " ").strip()
    found = _ENHANCED.match(text)
    enhanced = found[1] if found else ""
    status, error_class = _judge_code(code, enhanced, trail.phase)
    return SendResult(
        status=status,
        phase=trail.phase,
        code=code if code > 0 else None,
        enhanced_code=enhanced,
        text=text,
        error_class=error_class,
        transcript=trail.transcript(),
        address=trail.address,
    )


def _judge_code(  # noqa: PLR0911 - a decision list
    code: int, enhanced: str, phase: Phase
) -> tuple[SendStatus, str]:
    if 200 <= code <= 299 and phase is Phase.MESSAGE:
        return SendStatus.ACCEPTED, ""
    if 400 <= code <= 499:
        return SendStatus.TEMPORARY, "smtp_4xx"
    if not 500 <= code <= 599:
        # Not SMTP. Once the text is out, nobody can say what became of it.
        return (SendStatus.UNKNOWN if phase is Phase.MESSAGE else SendStatus.TEMPORARY), "protocol"
    if phase is Phase.AUTH or code in _CREDENTIAL_CODES or enhanced in _CREDENTIAL_ENHANCED:
        return SendStatus.PROFILE_FAULT, "smtp_auth"
    if phase in (Phase.CONNECT, Phase.GREETING, Phase.TLS):
        return SendStatus.PROFILE_FAULT, "smtp_5xx"
    if phase is Phase.MAIL and code != 552:
        # The sender's address was refused, and that is the profile's. (552: this message is too big.)
        return SendStatus.PROFILE_FAULT, "smtp_5xx"
    return SendStatus.PERMANENT, "smtp_5xx"


def judge_error(error: Exception, trail: Trail, *, cut: bool) -> SendResult:
    """The result that an exception of smtplib, ssl or the guard stands for; other ones are raised again."""
    if isinstance(error, smtplib.SMTPResponseException) and not cut:
        reply = error.smtp_error
        return judge_reply(error.smtp_code, reply if isinstance(reply, bytes) else reply.encode(), trail)
    status, error_class, text = _judge_silence(error, trail, cut=cut)
    if trail.phase is Phase.MESSAGE:
        status = SendStatus.UNKNOWN
        text = f"{text} The message had been sent by then, so the server may have accepted it."
    return SendResult(
        status=status,
        phase=trail.phase,
        text=trail.mask(text),
        error_class=error_class,
        transcript=trail.transcript(),
        address=trail.address,
    )


def _judge_silence(  # noqa: PLR0911 - a decision list
    error: Exception, trail: Trail, *, cut: bool
) -> tuple[SendStatus, str, str]:
    where = {Phase.CONNECT: "while connecting", Phase.MESSAGE: "after the message"}.get(
        trail.phase, f"in the {trail.phase.value} step"
    )
    if cut or isinstance(error, TimeoutError) or _timed_out(error):
        return SendStatus.TEMPORARY, "timeout", f"The mail server took too long {where}."
    if isinstance(error, AddressRefused):
        return SendStatus.PROFILE_FAULT, "address_refused", str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"The mail server's certificate is not trusted: {error.verify_message}."
        return SendStatus.PROFILE_FAULT, "tls", why
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        why = f"TLS failed ({error.reason or error}). Check that port and security belong together."
        return SendStatus.PROFILE_FAULT, "tls", why
    if isinstance(error, smtplib.SMTPNotSupportedError):
        missing, word = ("tls", "STARTTLS") if trail.phase is Phase.TLS else ("smtp_auth", "logging in")
        word = "XOAUTH2" if str(error) == "XOAUTH2" else word
        return SendStatus.PROFILE_FAULT, missing, f"The mail server does not offer {word}."
    if isinstance(error, socket.gaierror):
        return SendStatus.TEMPORARY, "dns", f"The mail server's name was not resolved: {error.strerror}."
    if isinstance(error, UnicodeError) and trail.phase is Phase.AUTH:
        return SendStatus.PROFILE_FAULT, "smtp_auth", "The user name or password is not plain ASCII."
    if isinstance(error, smtplib.SMTPServerDisconnected | ConnectionError | ssl.SSLError):
        kind = "connect" if trail.phase is Phase.CONNECT else "reset"
        return SendStatus.TEMPORARY, kind, f"The mail server closed the connection {where} ({error})."
    if isinstance(error, smtplib.SMTPException):
        if trail.phase is Phase.AUTH:
            return SendStatus.PROFILE_FAULT, "smtp_auth", f"Logging in failed: {error}"
        return SendStatus.TEMPORARY, "protocol", f"The mail server broke the protocol {where}: {error}"
    if isinstance(error, OSError):
        return SendStatus.TEMPORARY, "connect", f"No connection to the mail server: {error}."
    raise error


def _timed_out(error: Exception) -> bool:
    # smtplib wraps a time-out in SMTPServerDisconnected while it is being handled.
    return isinstance(error.__context__, TimeoutError)
