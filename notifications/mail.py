"""The complete message of an email notification, in seven-bit text that is sent as it is at every try."""

from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from . import liquid
from .destinations import Notification, Sender


def compose(
    notification: Notification,
    sender: Sender,
    context: Mapping[str, Any],
    *,
    recipient: str,
    public_id: str,
    now: datetime,
) -> str:
    """Return the RFC 5322 message. Raises liquid.TemplateFault, or ValueError for an impossible address."""
    message = EmailMessage(policy=SMTP)
    # A line break in a token's value must not start another header.
    message["Subject"] = " ".join(liquid.render(notification.subject, context, kind="text").split())
    message["From"] = Address(display_name=sender.from_name, addr_spec=sender.from_address)
    message["To"] = Address(addr_spec=recipient)
    if sender.reply_to:
        message["Reply-To"] = Address(addr_spec=sender.reply_to)
    message["Date"] = format_datetime(now)
    # The same at every try, so that the other side can tell a repetition.
    message["Message-ID"] = f"<{public_id}@{sender.from_address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(liquid.render(notification.text, context, kind="text"), cte="quoted-printable")
    if notification.html:
        message.add_alternative(
            liquid.render(notification.html, context, kind="html"), subtype="html", cte="quoted-printable"
        )
    return message.as_bytes().decode("ascii")
