"""What every transport takes and returns: frozen values, and no models."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

BODY_LIMIT = 64 * 1024  # bytes of a response that are read and kept
# A receiver that asks for a longer pause is tried again after this one.
LONGEST_RETRY_AFTER = timedelta(hours=24)


class Verdict(StrEnum):
    """How one try ended."""

    DELIVERED = "delivered"  # the other side said so
    RETRY = "retry"  # may work later: a refused connection, 429, 5xx
    REJECTED = "rejected"  # will never work: an unknown mailbox
    UNKNOWN = "unknown"  # lost after it was sent: the other side may have it
    BLOCKED = "blocked"  # the channel is at fault, not this message: pause it, spend no attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One delivery, rendered: these very bytes go out at every try."""

    id: str  # the delivery's public id, "dlv_…": webhook-id, or the left part of the Message-ID
    body: str = field(repr=False)  # webhook: the JSON text; email: the complete RFC 5322 message
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # webhook: added to the callout
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # webhook: added to the URL
    recipient: str = ""  # email only
    # Every spelling of what no log may show.
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one try went, as the attempt log keeps it; no secret is in any of it."""

    verdict: Verdict
    started_at: datetime  # UTC
    duration: timedelta
    status_code: int | None = None  # HTTP or SMTP
    # "", address_refused, connect, dns, gone, http_4xx, http_5xx, message, oauth, protocol, provider, recipient,
    # redirect, reset, sender, smtp_4xx, smtp_5xx, smtp_auth, timeout, tls
    error_class: str = ""
    detail: str = ""  # one plain sentence for support staff
    retry_after: timedelta | None = None  # the other side's wish, at most LONGEST_RETRY_AFTER
    address: str = ""  # "203.0.113.7:443"
    request_headers: str = ""  # "Name: value" lines, secrets masked
    response_headers: str = ""
    provider_id: str = ""  # what a provider of mail calls the message that it took
    response_body: str = ""  # at most BODY_LIMIT; for email the dialogue with the server
    # Webhooks: how long each part took that came to its end. Nothing of the first three over a kept connection.
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None  # from the request's first byte to the answer's
    is_reused: bool = False  # it went over a kept connection

    def without(self, secrets: tuple[str, ...]) -> "Outcome":
        """Return it with these texts masked, also where the other side repeats them."""
        if not secrets:
            return self
        told = {name: getattr(self, name) for name in _TEXTS}
        for secret in secrets:
            told = {name: text.replace(secret, MASK) for name, text in told.items()}
        return msgspec.structs.replace(self, **told)


MASK = "****"
_TEXTS = ("detail", "request_headers", "response_headers", "response_body")


class Transport(ABC):
    """Hands one message to one destination, and says how it went.

    A transport knows nothing of models or retries, may be used by several threads at once, and raises
    only on a bug: whatever the other side does is an Outcome.
    """

    @abstractmethod
    def send(self, message: Message) -> Outcome:
        """Try once."""

    def close(self) -> None:  # noqa: B027 - most have nothing of their own to close
        """Let go of what is kept for the next message."""
