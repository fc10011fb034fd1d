"""The complete message of an email notification, in seven-bit text that is sent as it is at every try."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Protocol

from . import liquid, mime, opt_out
from .assemble import Letter, Words
from .destinations import Notification
from .liquid_places import Place, known_locale, place
from .liquid_values import Values

MAX_SUBJECT = 250  # characters; longer ones are cut by every reader


class Letterhead(Protocol):
    """Whom a mail is from."""

    @property
    def from_name(self) -> str:
        """The name that readers see."""

    @property
    def from_address(self) -> str:
        """The address."""

    @property
    def reply_to(self) -> str:
        """Where answers go; empty: to the address."""


def compose(
    notification: Notification,
    sender: Letterhead,
    context: Mapping[str, Any],
    *,
    recipient: str,
    public_id: str,
    now: datetime,
    attachments: Sequence[mime.Attachment] = (),
) -> str:
    """Return the RFC 5322 message. Raises liquid.TemplateFault, or ValueError for an impossible address."""
    if notification.letter is None:
        raise liquid.TemplateFault(notification.fault or "there is no email template.")
    words, at = in_place(notification.letter, context)
    link = opt_out.link(notification.opt_out_of, recipient) if notification.opt_out_of else ""
    values = Values({**context, "unsubscribe": {"url": link}}, at)
    headers = [
        ("Subject", _one_line(liquid.render(words.subject, values, kind="text"))),
        ("From", mime.mailbox(sender.from_address, sender.from_name)),
        ("To", mime.mailbox(recipient)),
        ("Date", _date(now)),
        # The same at every try, so that the other side can tell a repetition.
        ("Message-ID", f"<{public_id}@{mime.mailbox(sender.from_address).rpartition('@')[2]}>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        *opt_out.headers(link),
    ]
    if sender.reply_to:
        headers.append(("Reply-To", mime.mailbox(sender.reply_to)))
    text = liquid.render(words.text, values, kind="text")
    html = liquid.render(words.html, values, kind="html") if words.html else ""
    return mime.write(headers, text=text, html=html, attachments=attachments)


# A look takes some dozens of deliveries at one moment.
_date = lru_cache(maxsize=8)(format_datetime)


def in_place(letter: Letter, context: Mapping[str, Any]) -> tuple[Words, Place]:
    """Return the words in the account's language, and how money and dates are written in them.

    That is as in the account's country where the words are in its language, else as in that of the words.
    """
    account = context.get("account")
    given = account if isinstance(account, Mapping) else {}
    wanted, zone = str(given.get("locale") or ""), str(given.get("timezone") or "")
    words = letter.in_locale(wanted)
    theirs, ours = known_locale(wanted), known_locale(words.locale)
    speaks = bool(theirs and ours and theirs.language == ours.language)
    return words, place(wanted if speaks else words.locale, zone, otherwise=words.locale)


def _one_line(text: str) -> str:
    """A line break or control character in a token's value must not start another header."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(text.split())
    return line if len(line) <= MAX_SUBJECT else f"{line[: MAX_SUBJECT - 1]}…"
