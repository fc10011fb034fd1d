"""What a mail needs to know of a profile, and what comes back: values only, no models."""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from .oauth import TokenGrant


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Authentication(StrEnum):
    """How we log in to the mail server."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105 - a kind of login
    CLIENT_CREDENTIALS = "client_credentials"  # XOAUTH2, the application itself
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - XOAUTH2 on behalf of a person who agreed once


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccount:
    """Where and as whom to hand in mail; hashable, so that connections are kept by account."""

    host: str
    sender: str = ""  # the envelope sender, where bounces go
    port: int = 25
    security: Security = Security.NONE
    username: str = ""
    password: str = field(default="", repr=False)
    grant: TokenGrant | None = field(default=None, repr=False)  # XOAUTH2 in the password's place
    ca_certificate: str = field(default="", repr=False)
    timeout_seconds: float = 15.0  # a wall clock over a whole mail, connecting included
    connect_seconds: float = 10.0  # of it, until there is a connection
    mails_per_connection: int = 100
    # The text leaves once the recipient is agreed on: another round trip, and fewer ends that nobody knows.
    asks_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccount:
    """Which provider's API takes the mail, and with which key; hashable, so that backends are kept by it."""

    kind: str  # smtpprofiles.providers.Kind
    key: str = field(repr=False)
    secret: str = field(default="", repr=False)  # where there are two
    token: str = field(default="", repr=False)  # with temporary credentials
    domain: str = ""  # Mailgun
    region: str = ""  # Amazon SES
    bounces_to: str = ""  # where the provider mails what did not arrive; empty: the From address
    url: str = ""  # empty: the provider's own
    sender: str = ""
    timeout_seconds: float = 15.0
    connect_seconds: float = 10.0


Account = SmtpAccount | ProviderAccount


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


class SendResult(msgspec.Struct, frozen=True, kw_only=True):
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
    retry_after: str = ""  # as a provider wrote it: seconds or a date
    provider_id: str = ""  # what a provider calls the mail that it took
