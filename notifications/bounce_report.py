"""Reading a bounce mail: a report on what became of a mail (RFC 3464), in the forms that mail servers give it.

Anybody can write one, so nothing in it is trusted here: bytes in, plain values out, bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser, HeaderParser
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Part = Message[Any, Any]
else:
    Part = Message  # not generic at run time

# Bytes that are read of a mail. The report comes before the mail that it returns, and that one's head comes first.
LIMIT = 256 * 1024
# We send to one recipient at a time; a report on more is not about a mail of ours.
MOST_RECIPIENTS = 10
_MOST_PARTS = 20
_OURS = re.compile(r"\bdlv_[0-9a-z]{1,40}\b")
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_REPORTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_HEADS = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")


class NoBounce(ValueError):  # noqa: N818 - named for the fact
    """This mail is no bounce report; says in a sentence what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is said of one recipient."""

    recipients: tuple[str, ...]  # the spellings under which we may know it: original and final
    action: str  # failed, delayed, delivered, relayed, expanded
    status: str  # x.y.z, or empty
    said: str  # the words of the server that refused it


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """One report."""

    deliveries: tuple[str, ...]  # dlv_…, the likeliest first
    reporter: str  # the server that wrote it
    notices: tuple[Notice, ...]


def read(raw: bytes) -> Bounce:
    """Return what a bounce mail says. NoBounce where it is none."""
    try:
        mail = BytesParser().parsebytes(raw[:LIMIT])
        return _read(mail)
    except RecursionError:
        raise NoBounce("Its parts are nested too deeply to be read.") from None


def _read(mail: Part) -> Bounce:
    if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
        what = mail.get_content_type()[:100]
        raise NoBounce(
            f"It is no delivery report (RFC 3464), but {what}: perhaps an answer of a person or a robot."
        )
    parts = [part for part in islice(mail.get_payload(), _MOST_PARTS) if isinstance(part, Message)]
    report = next((part for part in parts if part.get_content_type() in _REPORTS), None)
    if report is None:
        raise NoBounce("It is a report of another kind: it has no part message/delivery-status.")
    of_mail, *of_recipients = list(islice(_blocks(report), MOST_RECIPIENTS + 2)) or [Message()]
    if len(of_recipients) > MOST_RECIPIENTS:
        raise NoBounce(f"It reports on more than {MOST_RECIPIENTS} recipients; our mails have one each.")
    notices = tuple(_notice(block) for block in of_recipients if block["Action"])
    if not notices:
        raise NoBounce("Its delivery status names no recipient with an Action.")
    return Bounce(
        deliveries=tuple(dict.fromkeys(_named(mail, parts, of_mail))),
        reporter=_value(of_mail["Reporting-MTA"])[:200],
        notices=notices,
    )


def _blocks(report: Part) -> Iterator[Part]:
    """Yield the fields about the mail, then those about each recipient."""
    payload: Any = report.get_payload()
    for block in payload if isinstance(payload, list) else []:
        yield block
        # The international form is parsed as one mail, whose text is the rest.
        rest = block.get_payload()
        if report.get_content_type() == _REPORTS[1] and isinstance(rest, str):
            for text in re.split(r"\r?\n\r?\n", rest.strip()):
                yield HeaderParser().parsestr(text)


def _notice(block: Part) -> Notice:
    found = (_value(block[name]).strip("<> ") for name in ("Original-Recipient", "Final-Recipient"))
    spellings = [spelling for each in found if each for spelling in (each, _XTEXT.sub(_letter, each))]
    status = _STATUS.search(str(block["Status"] or ""))
    return Notice(
        recipients=tuple(dict.fromkeys(spellings)),
        action=str(block["Action"]).strip().lower(),
        status=status[0] if status else "",
        said=" ".join(_value(block["Diagnostic-Code"]).split())[:1000],
    )


def _named(mail: Part, parts: list[Part], of_mail: Part) -> Iterator[str]:
    """Yield the names of our mails that it gives: by the mail returned, else by what it answers or was sent to."""
    for part in parts:
        head = _head(part)
        if head is not None:
            for name in ("Message-ID", "X-Message-ID"):
                yield from _OURS.findall(str(head[name] or ""))
    for holder, names in (
        (of_mail, ("X-Original-Message-ID", "Original-Envelope-Id")),
        (mail, ("X-Original-Message-ID", "In-Reply-To", "References", "X-Original-To", "Delivered-To", "To")),
    ):
        for name in names:
            yield from _OURS.findall(str(holder[name] or "")[:2000])


def _head(part: Part) -> Part | None:
    """Return the head of the mail that a part gives back."""
    kind, payload = part.get_content_type(), part.get_payload()
    if kind in ("message/rfc822", "message/global") and isinstance(payload, list) and payload:
        first = payload[0]
        return first if isinstance(first, Message) else None
    if kind not in _RETURNED_HEADS:
        return None
    if isinstance(payload, list):  # the parser takes every message/… for a mail
        return payload[0] if payload and isinstance(payload[0], Message) else None
    text = part.get_payload(decode=True)
    return HeaderParser().parsestr(text.decode("utf-8", "replace")) if isinstance(text, bytes) else None


def _value(field: object) -> str:
    """Return a field's value without its type: `rfc822; ada@example.com`, `dns; mx.example.com`."""
    text = str(field or "")
    return text.partition(";")[2].strip() if ";" in text else text.strip()


def _letter(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))
