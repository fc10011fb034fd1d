"""The filters of administrators' templates: some of the library's, and ours; none can be made large."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from liquid import Environment, RenderContext
from liquid.exceptions import FilterArgumentError, ResourceLimitError
from liquid.filter import with_context
from liquid.undefined import Undefined

from . import liquid_arithmetic, liquid_places
from .liquid_arithmetic import EXACT, MAX_DIGITS, decimal, missing

MAX_TEXT = 256 * 1024  # characters of one value
MAX_ITEMS = 5_000  # items of one list or range
MAX_DATE_FORMAT = 100  # characters

# Everything else that the library brings is left out: `safe` defeats escaping, strip_html and the
# base64 family take quadratic time or hand out bytes, and the library's own arithmetic loses decimals.
FROM_LIBRARY = [
    "append",
    "capitalize",
    "compact",
    "concat",
    "default",
    "downcase",
    "escape",
    "escape_once",
    "find",
    "find_index",
    "first",
    "has",
    "join",
    "last",
    "lstrip",
    "map",
    "newline_to_br",
    "prepend",
    "reject",
    "remove",
    "remove_first",
    "remove_last",
    "replace",
    "replace_first",
    "replace_last",
    "reverse",
    "rstrip",
    "size",
    "slice",
    "sort",
    "sort_natural",
    "split",
    "squish",
    "strip",
    "strip_newlines",
    "truncate",
    "truncatewords",
    "uniq",
    "upcase",
    "url_encode",
    "where",
]
# How many decimals an amount is shown with at least; two where the currency is not named here.
_NONE = (
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
)
_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
MINOR_DIGITS = {**dict.fromkeys(_NONE, 0), **dict.fromkeys(_THREE, 3)}


def install(environment: Environment) -> None:
    """Give an environment these filters and no others, each bounded in what it takes and returns."""
    library = environment.filters
    environment.filters = {name: _bounded(library[name]) for name in FROM_LIBRARY}
    environment.filters.update({name: _bounded(function) for name, function in OURS.items()})


def refuse_large(value: object) -> None:
    """Raise ResourceLimitError for a text, list, range or number beyond the limits."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ResourceLimitError(f"a text grew beyond {MAX_TEXT:,} characters", token=None)
    elif isinstance(value, list | tuple | range):
        try:
            length = len(value)
        except OverflowError:
            length = MAX_ITEMS + 1
        if length > MAX_ITEMS:
            raise ResourceLimitError(f"a list or range grew beyond {MAX_ITEMS:,} items", token=None)
    elif isinstance(value, int) and value.bit_length() > 4 * MAX_DIGITS:
        raise ResourceLimitError(f"a number grew beyond {MAX_DIGITS} digits", token=None)


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    measures: dict[str, Callable[..., int]] = {"replace": _replaced_length, "join": _joined_length}
    grows = measures.get(function.__name__)

    @wraps(function)
    def call(value: object, *arguments: object, **options: object) -> object:
        for given in (value, *arguments):
            refuse_large(given)
        # These two multiply: their result is measured before it is made.
        if grows and grows(value, *arguments) > MAX_TEXT:
            raise ResourceLimitError(f"a text grew beyond {MAX_TEXT:,} characters", token=None)
        result = function(value, *arguments, **options)
        refuse_large(result)
        return result

    return call


def _replaced_length(value: object, old: object = "", new: object = "", *_: object) -> int:
    text, found = str(value), str(old)
    return len(text) + text.count(found) * (len(str(new)) - len(found))


def _joined_length(value: object, separator: object = " ", *_: object) -> int:
    items = value if isinstance(value, list | tuple | range) else [value]
    return sum(len(str(item)) for item in items) + len(items) * len(str(separator))


def _grouped(
    number: Decimal, least: int, places: int | None = None, *, place: liquid_places.Place | None = None
) -> str:
    exponent = number.as_tuple().exponent
    decimals = max(least, -exponent if isinstance(exponent, int) else 0) if places is None else places
    with localcontext(EXACT):
        rounded = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return liquid_places.number(rounded, decimals, place) if place else f"{rounded:,f}"


@with_context
def _money(value: object, currency: object = "", *, context: RenderContext) -> str:
    """Write an amount: 1,234.50 EUR, or as people at a place do: 1.234,50 €.

    It has its currency's decimals, or more where it came with more.
    """
    if missing(value):
        return ""
    code = "" if missing(currency) else str(currency)[:10]
    place = liquid_places.of(context)
    if place and code:
        return liquid_places.money(decimal(value), code.upper(), place)
    return f"{_grouped(decimal(value), MINOR_DIGITS.get(code.upper(), 2), place=place)} {code}".rstrip()


@with_context
def _number(value: object, places: object = None, *, context: RenderContext) -> str:
    """Write a number with thousands separated: all of its decimals, or as many as asked for."""
    if missing(value):
        return ""
    wanted = None if missing(places) else min(max(int(decimal(places)), 0), 20)
    return _grouped(decimal(value), 0, wanted, place=liquid_places.of(context))


@with_context
def _date(value: object, pattern: object = None, zone: object = None, *, context: RenderContext) -> str:
    """Write an ISO date, time or date and time by a strftime pattern, or short, medium, long or full.

    In a named time zone if one is given, else in that of the place. What is no date is written as it is.
    """
    if missing(value):
        return ""
    moment = _moment(value)
    if moment is None:
        return str(value)
    place = liquid_places.of(context)
    if isinstance(moment, datetime):
        moment = _in_zone(moment, zone, place)
    if missing(pattern) and place is None:
        return moment.isoformat(" ", "minutes") if isinstance(moment, datetime) else moment.isoformat()
    wanted = "medium" if missing(pattern) else str(pattern)
    if len(wanted) > MAX_DATE_FORMAT:
        raise FilterArgumentError(f"a date pattern has at most {MAX_DATE_FORMAT} characters", token=None)
    # A width, as in %999999d, asks the C library for that many characters.
    return liquid_places.date_text(moment, re.sub(r"%[-_0^#]*\d+", "%", wanted), place)


def _in_zone(moment: datetime, zone: object, place: liquid_places.Place | None) -> datetime:
    if missing(zone):
        # What came without a time zone is somebody's wall clock already.
        return moment.astimezone(place.zone) if place and moment.tzinfo else moment
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(ZoneInfo(str(zone)))
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise FilterArgumentError(f"{str(zone)[:40]!r} is not a time zone", token=None) from error


def _moment(value: object) -> datetime | date | time | None:
    if isinstance(value, datetime | date | time):
        return value
    text = str(value).strip()
    if len(text) <= 40:
        for kind in (date, datetime, time):
            try:
                return kind.fromisoformat(text)
            except ValueError:
                continue
    return None


_JSON = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _json(value: object) -> str:
    """Write a value as JSON, numbers as they came."""
    return _JSON.encode(None if isinstance(value, Undefined) else value).decode()


OURS: dict[str, Callable[..., object]] = {
    **liquid_arithmetic.FILTERS,
    "date": _date,
    "json": _json,
    "money": _money,
    "number": _number,
}
