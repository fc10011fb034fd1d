"""One text for all JSON texts that mean the same, so that repeated publishing can be recognised."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

_ENCODE = msgspec.json.Encoder().encode


def canonical(value: Any) -> bytes:
    """Return the canonical form of a JSON value whose numbers are int or Decimal.

    Members are sorted, white space and escapes do not count, and numbers are compared by their exact
    value: 19.9, 19.90 and 1990e-2 are one number; 19.9 and "19.9" are not the same.
    """
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def digest(**content: Any) -> bytes:
    """Return the SHA-256 of an event's content, given as named JSON values and datetimes."""
    whole = {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
        for name, value in content.items()
    }
    return hashlib.sha256(canonical(whole)).digest()


def _write(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, dict):
        parts.append(b"{")
        for name in sorted(value):
            parts += (_ENCODE(name), b":")
            _write(value[name], parts)
            parts.append(b",")
        parts.append(b"}")
    elif isinstance(value, list):
        parts.append(b"[")
        for item in value:
            _write(item, parts)
            parts.append(b",")
        parts.append(b"]")
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        parts.append(_number(value))
    else:
        parts.append(_ENCODE(value))


def _number(value: int | Decimal) -> bytes:
    # Decimal.normalize() would round to the context's 28 digits.
    sign, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int), "JSON has no NaN and no infinity"
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    if not significant:
        return b"0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(text) - len(significant)}".encode()
