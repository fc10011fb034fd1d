"""Django's email API over a profile, for the code of a host project.

    ProfileBackend(profile).send_messages([EmailMessage(...)])

Build it by class as here, never by a path through `get_connection`, which Django 6.1 retires.
"""

from collections.abc import Sequence
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from .account import SendResult, SendStatus
from .hand_in import hand_in, let_go
from .models import SmtpProfile


class MailRefused(OSError):  # noqa: N818 - named for the fact
    """A mail was not accepted for a recipient; `result` says why and whether trying again helps."""

    def __init__(self, recipient: str, result: SendResult) -> None:
        super().__init__(f"{recipient}: {result.text}")
        self.recipient, self.result = recipient, result


class ProfileBackend(BaseEmailBackend):
    """Sends through one SMTP profile, one conversation a recipient."""

    def __init__(self, profile: SmtpProfile, *, fail_silently: bool = False, alias: str = "") -> None:
        super().__init__(fail_silently=fail_silently)
        self.account, self.alias = profile.account(), alias

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """How many messages were accepted for every one of their recipients.

        MailRefused at the first that was not, unless `fail_silently`.
        """
        return sum(self._send(message) for message in email_messages)

    def _send(self, message: EmailMessage) -> bool:
        recipients = message.recipients()
        content = message.message().as_bytes()
        accepted = 0
        for recipient in recipients:
            result = hand_in(self.account, content, recipient=_bare(recipient))
            if result.status is SendStatus.ACCEPTED:
                accepted += 1
            elif not self.fail_silently:
                raise MailRefused(recipient, result)
        return bool(recipients) and accepted == len(recipients)

    def close(self) -> None:
        """Close the connections kept for this profile."""
        let_go(self.account)


def _bare(recipient: Any) -> str:
    """`Ada <ada@example.com>` without the name."""
    text = str(recipient).strip()
    return text[text.rindex("<") + 1 : -1] if text.endswith(">") and "<" in text else text
