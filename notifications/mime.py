"""Writing a mail's text: headers, a plain part and perhaps an HTML part, in seven-bit text.

Python's own email package takes two milliseconds for it, most of a mail's whole cost. What is plain is
written here; a header that is not (letters outside ASCII, a name with quotes) is left to that package.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import lru_cache

from smtpprofiles.addresses import envelope_address

# RFC 5322 allows lines of 998; folding would tear a URL into encoded words.
_PLAIN = re.compile(r"[\x20-\x7e]{0,900}")
# What a quoted-printable part can never contain, as = is written =3D there.
_BOUNDARY = "=_bellwether_of_parts"
_AROUND = "=_bellwether_of_files"
_LINE_END = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of text that goes with a mail; its name is in ASCII, without quotes."""

    name: str
    content_type: str
    text: str


def write(
    headers: Iterable[tuple[str, str]], *, text: str, html: str = "", attachments: Sequence[Attachment] = ()
) -> str:
    """Return the RFC 5322 text of these headers and parts, with CRLF line ends.

    A header's value is taken as it is: a line break in it is a ValueError.
    """
    lines = [header(name, value) for name, value in headers]
    lines.append("MIME-Version: 1.0\r\n")
    if not attachments:
        return "".join(lines) + _body(text, html)
    parts = [_body(text, html), *(_attached(each) for each in attachments)]
    return "".join(lines) + _several("mixed", _AROUND, parts)


def _body(text: str, html: str) -> str:
    if not html:
        return _part("plain", text)
    return _several("alternative", _BOUNDARY, [_part("plain", text), _part("html", html)])


def _several(subtype: str, boundary: str, parts: Iterable[str]) -> str:
    inside = "".join(f"--{boundary}\r\n{part}" for part in parts)
    return f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n{inside}--{boundary}--\r\n'


def _attached(file: Attachment) -> str:
    coded = base64.encodebytes(file.text.encode()).decode("ascii").replace("\n", "\r\n")
    return (
        f'Content-Type: {file.content_type}; charset="utf-8"\r\n'
        f'Content-Disposition: attachment; filename="{file.name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{coded}"
    )


def header(name: str, value: str) -> str:
    """Return one header with its line end, encoded and folded where it has to be."""
    if _PLAIN.fullmatch(value):
        return f"{name}: {value}\r\n"
    return _folded(name, value)


@lru_cache(maxsize=1024)
def mailbox(address: str, name: str = "") -> str:
    """Return `Name <address>` as a header's value; ValueError where the address is none.

    A domain is in ASCII; letters outside it before the @ stay (RFC 6532): the server must take SMTPUTF8.
    """
    plain = envelope_address(address)
    if not name:
        return plain
    if _NAME.fullmatch(name):
        return f"{name} <{plain}>"
    if not plain.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{plain}>'
    message = EmailMessage(policy=SMTP.clone(max_line_length=900))
    message["From"] = Address(display_name=name, addr_spec=plain)
    return message.as_bytes().decode("ascii").removeprefix("From: ").split("\r\n")[0]


def _folded(name: str, value: str) -> str:
    if any(each in value for each in "\r\n"):
        raise ValueError(f"The header {name} holds a line break.")
    if "@" in value and name in ("To", "From", "Reply-To"):
        return f"{name}: {value}\r\n"  # an address, as `mailbox` wrote it
    message = EmailMessage(policy=SMTP)
    message[name] = value
    return message.as_bytes().decode("ascii").removesuffix("\r\n")


def _part(subtype: str, content: str) -> str:
    lines = _LINE_END.sub("\r\n", content.rstrip("\r\n")).encode()
    coded = binascii.b2a_qp(lines, istext=True).decode("ascii")
    return (
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{coded}\r\n"
    )
