"""What is changed in the Liquid library itself, where it offers no hook.

1. A range is refused before anything walks it: `reversed`, `offset` and `contains` do so before any limit.
2. 0.1 in a template is the decimal 0.1, as it is in a payload, not the nearest binary fraction.
3. Money arrives as text. Compared with a number, or in < and > with each other, texts that are numbers
   compare as numbers; the library says that "9.00" > "10.00", and that "100.00" == 100 is false.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

from liquid.builtin.expressions import logical
from liquid.builtin.expressions.primitive import FloatLiteral, RangeLiteral
from liquid.context import RenderContext
from liquid.token import Token

from .liquid_arithmetic import MAX_DIGITS
from .liquid_filters import refuse_large

_make_range = RangeLiteral._make_range
_eq, _lt, _le = logical._eq, logical._lt, logical._le


def adjust() -> None:
    """Make the changes. Safe to repeat."""
    changes: list[tuple[Any, str, object]] = [
        (RangeLiteral, "_make_range", _bounded_range),
        (FloatLiteral, "evaluate", _decimal_literal),
        (logical, "_eq", _equal),
        (logical, "_lt", _less),
        (logical, "_le", _less_or_equal),
    ]
    for owner, name, change in changes:
        getattr(owner, name)  # a newer library without it must not go unnoticed
        setattr(owner, name, change)


def _bounded_range(self: RangeLiteral, start: Any, stop: Any) -> range:
    result = _make_range(self, start, stop)
    refuse_large(result)
    return result


def _decimal_literal(self: FloatLiteral, _context: RenderContext) -> Decimal:
    return Decimal(repr(self.value))


def _equal(left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right  # identifiers: "0101" is not "101"
    return _eq(*_as_numbers(left, right))


def _less(token: Token, left: object, right: object) -> bool:
    return _lt(token, *_as_numbers(left, right))


def _less_or_equal(left: object, right: object) -> bool:
    return _le(*_as_numbers(left, right))


def _as_numbers(left: object, right: object) -> tuple[object, object]:
    """Return both as numbers where both can be, else both as they are."""
    if isinstance(left, str) or isinstance(right, str):
        numbers = _number(left), _number(right)
        if None not in numbers:
            return numbers
    return left, right


def _number(value: object) -> object:
    if isinstance(value, str) and len(value) <= MAX_DIGITS:
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
