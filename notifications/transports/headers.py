"""The headers of a callout: which are ours, which an administrator may add, and how they are shown."""

import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_RESERVED = {
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie",
    "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp",
}  # fmt: skip
_SHOWN_LIMIT = 16_000
MASK = "****"


def problem(name: str, value: str = "") -> str:
    """Why a header cannot be added to a callout, as a sentence; empty where it can."""
    if not _NAME.fullmatch(name):
        return f"{name!r} is not a header name: letters, digits and hyphens only."
    if name.lower() in _RESERVED:
        return f"The header {name} is set by the product itself."
    if _FORBIDDEN_IN_VALUE.search(value):
        return f"The value of the header {name} holds a line break or another control character."
    return ""


def show(headers: Iterable[tuple[str, str]], *, masked: Mapping[str, str] | None = None) -> str:
    """Headers as "Name: value" lines for the log; `masked` (by lower-case name) replaces values."""
    masked = masked or {}
    lines = (f"{name}: {masked.get(name.lower(), value)}" for name, value in headers)
    return "\n".join(lines).replace("\0", "")[:_SHOWN_LIMIT]


def show_lines(text: str) -> str:
    """Headers for the log from their lines as they are sent, each ended by CRLF."""
    return text[:-2].replace("\r\n", "\n").replace("\0", "")[:_SHOWN_LIMIT]
