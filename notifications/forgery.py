"""Requests made wrong on purpose, after they were signed right, so that a receiver can show what it refuses."""

import base64
import os
import re
from collections.abc import Callable

_END = b"\r\n\r\n"
_SIGNATURE = re.compile(rb"^webhook-signature: ([^\r\n]*)\r\n", re.IGNORECASE | re.MULTILINE)
_ENTRY = re.compile(rb"(v1a?),[A-Za-z0-9+/=]+")
# What may be changed and leaves valid JSON: the last digit of an id of ours, a letter of a text or of a name.
_ID = re.compile(rb'"evt_[0-9a-f]{31}([0-9a-f])"')
_TEXT = re.compile(rb':\s*"[^"\\]*?([A-Za-z])[^"\\]*"')
_NAME = re.compile(rb'"[^"\\]*?([A-Za-z])[^"\\]*"')


def tampered(request: bytes) -> bytes:
    """Return it with one character of the body changed; it stays as long, and valid JSON."""
    head, end, body = request.partition(_END)
    found = _ID.search(body) or _TEXT.search(body) or _NAME.search(body)
    if found is None:  # neither texts nor members: an array of numbers
        return head + end + body[:-1] + b" "
    at, old = found.start(1), found[1]
    new = (b"1" if old == b"0" else b"0") if found.re is _ID else old.swapcase()
    return head + end + body[:at] + new + body[at + 1 :]


def wrongly_signed(request: bytes) -> bytes:
    """Return it with signatures that no secret made."""
    return _with_signature(request, lambda value: _ENTRY.sub(_random_entry, value))


def unsigned(request: bytes) -> bytes:
    """Return it without the signature."""
    head, end, body = request.partition(_END)
    return _SIGNATURE.sub(b"", head + b"\r\n")[:-2] + end + body


def doubly_signed(request: bytes) -> bytes:
    """Return it with a signature of an unknown secret before the right ones."""
    return _with_signature(request, lambda value: b"v1," + _random(32) + b" " + value)


def _with_signature(request: bytes, change: Callable[[bytes], bytes]) -> bytes:
    head, end, body = request.partition(_END)
    changed = _SIGNATURE.sub(
        lambda found: b"webhook-signature: " + change(found[1]) + b"\r\n", head + b"\r\n"
    )
    return changed[:-2] + end + body


def _random_entry(found: re.Match[bytes]) -> bytes:
    return found[1] + b"," + _random(64 if found[1] == b"v1a" else 32)


def _random(size: int) -> bytes:
    return base64.b64encode(os.urandom(size))
