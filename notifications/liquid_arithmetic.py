"""Exact arithmetic for administrators' templates: three times 19.90 is 59.70.

A missing operand leaves nothing, which renders as empty; one that is no number is a fault, never a silent 0.
"""

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    InvalidOperation,
    localcontext,
)
from functools import wraps

from liquid.exceptions import FilterArgumentError
from liquid.undefined import Undefined

MAX_DIGITS = 60
EXACT = Context(prec=MAX_DIGITS)


class Number(Decimal):
    """A decimal that is written in full, never as 1E+3."""

    def __str__(self) -> str:
        return format(Decimal(self), "f")


def missing(value: object) -> bool:
    """Tell whether a value is absent: null, empty or undefined."""
    return value is None or value == "" or isinstance(value, Undefined)


def decimal(value: object) -> Decimal:
    """Return a value as a decimal, exactly as written. Raises FilterArgumentError."""
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        try:
            number = Decimal(str(value).strip()) if len(str(value)) <= MAX_DIGITS else Decimal("NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and abs(number.adjusted()) < MAX_DIGITS:
            return number
    shown = str(value)[:40]
    raise FilterArgumentError(f"{shown!r} is not a number of at most {MAX_DIGITS} digits", token=None)


def _arithmetic(calculate: Callable[..., Decimal]) -> Callable[..., object]:
    """Make a filter of a calculation: whole numbers stay whole, a missing operand leaves nothing."""

    @wraps(calculate)
    def call(value: object, *operands: object) -> object:
        if any(missing(operand) for operand in (value, *operands)):
            return None
        numbers = [decimal(operand) for operand in (value, *operands)]
        try:
            with localcontext(EXACT):
                result = calculate(*numbers)
        except ZeroDivisionError as error:  # decimal's own errors of this kind are subclasses
            raise FilterArgumentError("division by zero", token=None) from error
        except ArithmeticError as error:
            raise FilterArgumentError(f"no exact result within {MAX_DIGITS} digits", token=None) from error
        if all(isinstance(operand, int) for operand in (value, *operands)) and result == int(result):
            return int(result)
        return Number(result)

    return call


@_arithmetic
def _abs(value: Decimal) -> Decimal:
    return abs(value)


@_arithmetic
def _at_least(value: Decimal, limit: Decimal) -> Decimal:
    return max(value, limit)


@_arithmetic
def _at_most(value: Decimal, limit: Decimal) -> Decimal:
    return min(value, limit)


@_arithmetic
def _ceil(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_CEILING)


@_arithmetic
def _floor(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_FLOOR)


@_arithmetic
def _plus(value: Decimal, other: Decimal) -> Decimal:
    return value + other


@_arithmetic
def _minus(value: Decimal, other: Decimal) -> Decimal:
    return value - other


@_arithmetic
def _times(value: Decimal, other: Decimal) -> Decimal:
    return value * other


@_arithmetic
def _modulo(value: Decimal, other: Decimal) -> Decimal:
    return value - other * (value / other).to_integral_value(ROUND_FLOOR)


@_arithmetic
def _round(value: Decimal, places: Decimal = Decimal(0)) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-int(places)), ROUND_HALF_UP)


def _divided_by(value: object, other: object) -> object:
    """Divide; two whole numbers give a whole one, rounded down, as everywhere in Liquid."""
    if isinstance(value, int) and isinstance(other, int) and other:
        return value // other
    return _arithmetic(lambda left, right: (left / right).normalize(Context(prec=28)))(value, other)


def _sum(values: object, key: object = None) -> object:
    """Add up a list, or one property of its items; what is missing counts nothing."""
    items = values if isinstance(values, list | tuple | range) else [values]
    if not missing(key):
        items = [item.get(str(key)) for item in items if isinstance(item, dict)]
    total: object = 0
    for item in items:
        total = total if missing(item) else _plus(total, item)
    return total


FILTERS: dict[str, Callable[..., object]] = {
    "abs": _abs,
    "at_least": _at_least,
    "at_most": _at_most,
    "ceil": _ceil,
    "divided_by": _divided_by,
    "floor": _floor,
    "minus": _minus,
    "modulo": _modulo,
    "plus": _plus,
    "round": _round,
    "sum": _sum,
    "times": _times,
}
