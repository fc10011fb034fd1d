"""Money, numbers and dates as people at a place write them: the locale of a mail's words, the account's time zone."""

import re
from copy import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, dates, numbers
from liquid import RenderContext

from .liquid_arithmetic import EXACT

# Where a template's values hold the place; no template can name it.
PLACE = "\0place"
DEFAULT = "en-US"
_NAMED = frozenset({"short", "medium", "long", "full"})
# The names that strftime takes from the locale of the process, by Babel's patterns.
_NAMES = {"A": "EEEE", "a": "EEE", "B": "MMMM", "b": "MMM", "h": "MMM", "p": "a"}
_DIRECTIVE = re.compile(r"%([AaBbhp%])")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is."""

    locale: Locale
    zone: tzinfo


@lru_cache(maxsize=512)
def place(locale: str, zone: str, *, otherwise: str = DEFAULT) -> Place:
    """Return the place; what is unknown there is the `otherwise` locale, and UTC."""
    return Place(known_locale(locale) or known_locale(otherwise) or Locale("en", "US"), _zone(zone))


def of(context: RenderContext) -> Place | None:
    """Return the place that a template is rendered for."""
    return cast(Place | None, context.globals.get(PLACE))


@lru_cache(maxsize=512)
def known_locale(name: str) -> Locale | None:
    """Return the locale behind a name such as de-AT; None if there is none."""
    if not re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", name):
        return None
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return None


@lru_cache(maxsize=512)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return UTC


def money(amount: Decimal, currency: str, place: Place) -> str:
    """Write an amount exactly: its currency's decimals, or more where it came with more."""
    return _money(str(amount), currency, place)


# Subject, text and HTML of a mail name the same amounts and dates, and Babel takes its time. By their text:
# 1.0 and 1.00 are equal, and are not written alike.
@lru_cache(maxsize=1024)
def _money(amount: str, currency: str, place: Place) -> str:
    with localcontext(EXACT):
        text = numbers.format_currency(
            Decimal(amount), currency, locale=place.locale, decimal_quantization=False
        )
    symbol = numbers.get_currency_symbol(currency, place.locale)
    # CLDR: letters are kept apart from digits. Babel does not do it.
    return re.sub(rf"{re.escape(symbol)}(?=\d)", f"{symbol}\xa0", text) if symbol[-1:].isalpha() else text


def number(value: Decimal, decimals: int, place: Place) -> str:
    """Write a number with exactly so many decimals."""
    return _number(str(value), decimals, place)


@lru_cache(maxsize=1024)
def _number(value: str, decimals: int, place: Place) -> str:
    pattern = copy(place.locale.decimal_formats[None])
    pattern.frac_prec = (decimals, decimals)
    with localcontext(EXACT):
        return str(pattern.apply(Decimal(value), place.locale))


def date_text(moment: datetime | date | time, pattern: str, place: Place | None) -> str:
    """Write a date or time by a strftime pattern, with the names of the place, or by its own short … full."""
    return _date_text(moment, repr(moment), pattern, place)


@lru_cache(maxsize=1024)
def _date_text(moment: datetime | date | time, _as_written: str, pattern: str, place: Place | None) -> str:
    locale = place.locale if place else Locale("en", "US")
    if pattern in _NAMED:
        style = cast(Literal["short", "medium", "long", "full"], pattern)
        if isinstance(moment, datetime):
            return dates.format_datetime(moment, style, tzinfo=moment.tzinfo, locale=locale)
        if isinstance(moment, date):
            return dates.format_date(moment, style, locale=locale)
        return dates.format_time(moment, style, locale=locale)
    if place is None:
        return moment.strftime(pattern)

    def name(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%%"
        return _name(moment, _NAMES[found[1]], locale).replace("%", "%%")

    return moment.strftime(_DIRECTIVE.sub(name, pattern))


def _name(moment: Any, pattern: str, locale: Locale) -> str:
    if isinstance(moment, time):
        return dates.format_time(moment, pattern, locale=locale) if pattern == "a" else ""
    if isinstance(moment, datetime):
        return dates.format_datetime(moment, pattern, tzinfo=moment.tzinfo, locale=locale)
    return "" if pattern == "a" else dates.format_date(moment, pattern, locale=locale)
