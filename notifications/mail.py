"""The complete message of an email notification, in seven-bit text that is sent as it is at every try."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from . import liquid, mime
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
    headers = [
        # A line break in a token's value must not start another header.
        ("Subject", " ".join(liquid.render(notification.subject, context, kind="text").split())),
        ("From", mime.mailbox(sender.from_address, sender.from_name)),
        ("To", mime.mailbox(recipient)),
        ("Date", format_datetime(now)),
        # The same at every try, so that the other side can tell a repetition.
        ("Message-ID", f"<{public_id}@{mime.mailbox(sender.from_address).rpartition('@')[2]}>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
    ]
    if sender.reply_to:
        headers.append(("Reply-To", mime.mailbox(sender.reply_to)))
    text = liquid.render(notification.text, context, kind="text")
    html = liquid.render(notification.html, context, kind="html") if notification.html else ""
    return mime.write(headers, text=text, html=html)
