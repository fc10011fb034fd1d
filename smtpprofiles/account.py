"""What a mail needs to know of a profile, and what comes back: values only, no models."""

from dataclasses import dataclass, field
from enum import StrEnum


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccount:
    """Where and as whom to hand in mail; hashable, so that connections are kept by account."""

    host: str
    port: int = 25
    security: Security = Security.NONE
    username: str = ""
    password: str = field(default="", repr=False)
    ca_certificate: str = field(default="", repr=False)
    timeout_seconds: float = 15.0  # a wall clock over a whole mail, connecting included


class Phase(StrEnum):
    """How far a conversation with a mail server has come."""

    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    MESSAGE = "message"  # the text is on its way: from here on it may have been accepted


class SendStatus(StrEnum):
    """How the handing in of a mail ended."""

    ACCEPTED = "accepted"
    TEMPORARY = "temporary"  # may work later
    PERMANENT = "permanent"  # will never work for this recipient or this message
    PROFILE_FAULT = "profile_fault"  # will not work for any mail until the profile is corrected
    UNKNOWN = "unknown"  # lost after the text was begun: the server may have it


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult:
    """The end of one try, with everything support staff may want to see and no password."""

    status: SendStatus
    phase: Phase
    code: int | None = None  # the server's reply code
    enhanced_code: str = ""  # its x.y.z, where it gave one
    text: str = ""  # its words, or ours where it gave none
    # "", smtp_4xx, smtp_5xx, smtp_auth, timeout, connect, dns, tls, address_refused, reset, protocol, …
    error_class: str = ""
    transcript: str = ""
    address: str = ""  # "203.0.113.7:587"
