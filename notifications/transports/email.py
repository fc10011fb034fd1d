"""Email: one message for one recipient, through one SMTP server or one provider's API."""

import time
from datetime import timedelta

from smtpprofiles.account import Account, SendResult, SendStatus
from smtpprofiles.hand_in import hand_in, let_go

from . import clock
from .base import Message, Outcome, Transport, Verdict
from .judge import retry_after

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

    def __init__(self, account: Account) -> None:
        self._account = account

    def send(self, message: Message) -> Outcome:
        """Try once, within the account's wall clock."""
        started_at, start = clock.now(), time.monotonic()
        result = hand_in(self._account, message.body.encode(), recipient=message.recipient)
        return Outcome(
            verdict=_VERDICTS[result.status],
            status_code=result.code,
            error_class=result.error_class,
            detail=_sentence(result),
            address=result.address,
            response_body=result.transcript,
            retry_after=(
                retry_after(result.retry_after, status=result.code or 0, now=clock.now())
                if result.retry_after
                else None
            ),
            provider_id=result.provider_id,
            started_at=started_at,
            duration=timedelta(seconds=time.monotonic() - start),
        )

    def close(self) -> None:
        """Close the connections that are kept for this account."""
        let_go(self._account)


def _sentence(result: SendResult) -> str:
    reply = f"{result.code} {result.text}" if result.code else result.text
    return f"{_SENTENCES[result.status]}: {reply}".rstrip(": ")[:1000]
