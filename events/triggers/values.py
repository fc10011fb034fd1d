"""Compare what was reported with what an administrator wrote: as numbers, as times, else as text."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

# A leading zero makes it a code, which 7 is not equal to.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TODAY = re.compile(r"today(?:\s*([+-])\s*([0-9]{1,4}))?")
_YES, _NO = {"true", "yes"}, {"false", "no"}


def number(value: Any) -> Decimal | None:
    """Return the value as a Decimal, exactly; None if it is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(str(value))
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) else None


def moment(value: Any, today: date | None = None) -> datetime | None:
    """Return a date or a time as an instant: a date as its midnight in UTC; None if it is neither.

    With `today` given, the words `today`, `today + 7` and `today - 30` are dates.
    """
    found: datetime | None = None
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime.combine(value, time())
    elif isinstance(value, str):
        found = _read(value.strip(), today)
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _read(text: str, today: date | None) -> datetime | None:
    if today is not None and (word := _TODAY.fullmatch(text.lower())):
        days = int(word[2] or 0) * (-1 if word[1] == "-" else 1)
        return datetime.combine(today + timedelta(days=days), time())
    if not _DATE.match(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def equal(value: Any, text: str, today: date | None = None) -> bool:
    """Whether a reported value is what was written: 1000 is 1000.00, true is yes; text is exact."""
    if value is None:
        return False
    if isinstance(value, bool):
        return text.strip().lower() in (_YES if value else _NO)
    if str(value) == text:
        return True
    if (left := number(value)) is not None and (right := number(text)) is not None:
        return left == right
    if (at := moment(value)) is not None and (then := moment(text, today)) is not None:
        return at == then
    return False


def compare(value: Any, text: str, today: date | None = None) -> int | None:
    """Return -1, 0 or 1 as the value is below, equal to or above what was written; None if they do not compare."""
    if (left := number(value)) is not None and (right := number(text)) is not None:
        return (left > right) - (left < right)
    if (at := moment(value)) is not None and (then := moment(text, today)) is not None:
        return (at > then) - (at < then)
    return None


def is_empty(value: Any) -> bool:
    """Whether nothing was reported: no member, null, an empty text, list or object."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def shown(value: Any) -> str:
    """Return a value as a sentence names it, cut to 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return (text if len(text) <= 60 else f"{text[:59]}…") if text else "an empty text"
