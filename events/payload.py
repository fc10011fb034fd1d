"""Reading a payload: the text is kept as it came, the values are exact, the limits are checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from .refusals import FieldError, InvalidPayload, PayloadTooLarge

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
# No receiver reads such numbers, and expanding 1e999999999 would eat all memory.
MAX_EXPONENT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A payload's text, byte for byte, and its value, where every number is an int or a Decimal."""

    text: str
    value: dict[str, Any]


def parse(data: Mapping[str, Any] | str | bytes) -> Payload:
    """Return the payload; raise InvalidPayload or PayloadTooLarge if it cannot be kept.

    Text and bytes (UTF-8) are kept as they are. A mapping is written as JSON: a Decimal becomes a
    string, a datetime ISO 8601; floats are allowed but as inexact as floats are, so give money as
    Decimal or string.
    """
    text = _text(data)
    try:
        value = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _invalid(f"This is not valid JSON: {error}. Send one JSON object in UTF-8.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise _invalid(str(error)) from None
    if not isinstance(value, dict):
        raise _invalid('The payload must be a JSON object, such as {"invoice": {…}}.')
    # Counting brackets, also those inside strings, is cheap and can only overestimate the depth.
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    if "\\u0000" in text and (place := next(_nuls(value, ""), None)) is not None:
        raise _invalid("A NUL character (\\u0000) cannot be stored or mailed; leave it out.", field=place)
    return Payload(text=text, value=value)


def lookup(value: Any, path: str) -> Any:
    """Return what a dotted path such as `account.id` leads to, or None."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def escape(name: str) -> str:
    """Return a member's name as one step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _text(data: Mapping[str, Any] | str | bytes) -> str:
    if isinstance(data, Mapping):
        try:
            data = msgspec.json.encode(dict(data))
        except (TypeError, UnicodeError, RecursionError) as error:
            raise _invalid(f"This cannot be written as JSON: {error}.") from None
    try:
        encoded = data.encode() if isinstance(data, str) else bytes(data)
        if len(encoded) > MAX_BYTES:
            detail = f"The payload has {len(encoded)} bytes; an event may have {MAX_BYTES} (256 KB)."
            raise PayloadTooLarge([FieldError(field="/data", detail=detail)])
        return data if isinstance(data, str) else encoded.decode()
    except UnicodeError as error:
        raise _invalid(f"The payload is not UTF-8: {error}.") from None


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError(
            f"The number {text[:40]} is out of range (exponents to ±{MAX_EXPONENT}); send it as a string."
        )
    return number


_DECODER = msgspec.json.Decoder(float_hook=_number)


def _depth(value: Any) -> int:
    """Depth of nested containers, counted level by level so that depth costs no stack."""
    depth, level = 0, [value]
    while level:
        level = [item for item in level if isinstance(item, dict | list)]
        depth += bool(level)
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth


def _nuls(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, str) and "\0" in value:
        yield place
    elif isinstance(value, dict):
        for name, item in value.items():
            if "\0" in name:
                yield place
            yield from _nuls(item, f"{place}/{escape(name)}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _nuls(item, f"{place}/{position}")


def _invalid(detail: str, *, field: str = "") -> InvalidPayload:
    return InvalidPayload([FieldError(field=f"/data{field}", detail=detail)])


def _too_deep() -> InvalidPayload:
    return _invalid(f"The payload is nested more than {MAX_DEPTH} levels deep; flatten it.")
