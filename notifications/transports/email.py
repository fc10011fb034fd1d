"""Email: one message for one recipient, through one SMTP profile."""

import time
from datetime import timedelta

from smtpprofiles import sender
from smtpprofiles.account import SendResult, SendStatus, SmtpAccount

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


class EmailTransport(Transport):
    """Hands mail to one server; its connection is kept for the next one."""

    def __init__(self, account: SmtpAccount, *, from_address: str) -> None:
        """`from_address` is the envelope sender; the From header is in the message already."""
        self._account = account
        self._from_address = from_address

    def send(self, message: Message) -> Outcome:
        """Try once, within the account's wall clock."""
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
