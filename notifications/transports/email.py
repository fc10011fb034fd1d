"""Email: one message for one recipient, through one SMTP profile."""

import time
from dataclasses import dataclass, field
from datetime import timedelta

from smtpprofiles import sender
from smtpprofiles.account import Security, SendResult, SendStatus, SmtpAccount

from . import clock
from .base import Message, Outcome, Transport, Verdict

_VERDICTS = {
    SendStatus.ACCEPTED: Verdict.DELIVERED,
    SendStatus.TEMPORARY: Verdict.RETRY,
    SendStatus.PERMANENT: Verdict.REJECTED,
    SendStatus.PROFILE_FAULT: Verdict.BLOCKED,
    SendStatus.UNKNOWN: Verdict.UNKNOWN,
}
_SENTENCES = {
    SendStatus.ACCEPTED: "The mail server accepted the message",
    SendStatus.TEMPORARY: "The mail server could not take the message now",
    SendStatus.PERMANENT: "The message was refused for good",
    SendStatus.PROFILE_FAULT: "The SMTP profile does not work as it is",
    SendStatus.UNKNOWN: "Nobody can say whether the mail server took the message",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailDestination:
    """The values of an SMTP profile that sending needs."""

    host: str
    from_address: str  # the envelope sender; the From header is in the message already
    port: int = 25
    security: str = "none"  # none, starttls, tls
    username: str = ""
    password: str = field(default="", repr=False)
    timeout_seconds: float = 15.0  # a wall clock over one mail, connecting included
    ca_certificate: str = field(default="", repr=False)


class EmailTransport(Transport):
    """Hands mail to one server; its connection is kept for the next one."""

    def __init__(self, destination: EmailDestination) -> None:
        self._from_address = destination.from_address
        self._account = SmtpAccount(
            host=destination.host,
            port=destination.port,
            security=Security(destination.security),
            username=destination.username,
            password=destination.password,
            ca_certificate=destination.ca_certificate,
            timeout_seconds=destination.timeout_seconds,
        )

    def send(self, message: Message) -> Outcome:
        """Try once, within the destination's wall clock."""
        started_at, start = clock.now(), time.monotonic()
        result = sender.send(
            self._account, message.body.encode(), sender=self._from_address, recipient=message.recipient
        )
        return Outcome(
            verdict=_VERDICTS[result.status],
            status_code=result.code,
            error_class=result.error_class,
            detail=_sentence(result),
            address=result.address,
            response_body=result.transcript,
            started_at=started_at,
            duration=timedelta(seconds=time.monotonic() - start),
        )

    def close(self) -> None:
        """Close the connections that are kept for this account."""
        sender.close(self._account)


def _sentence(result: SendResult) -> str:
    reply = f"{result.code} {result.text}" if result.code else result.text
    return f"{_SENTENCES[result.status]}: {reply}".rstrip(": ")[:1000]
