"""Which subscriptions want an event, and who of each gets it. Plain values, no database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from smtpprofiles.addresses import envelope_address

# A look that costs less than the exception of a failed conversion.
_LIKE_A_NUMBER = re.compile(r"\s*[-+]?\.?\d")


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What matching sees of an event."""

    id: int
    type_id: int
    operation: str
    ordering_key: str
    queue_ids: frozenset[int]  # the queues that it flows into
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One filter row: token, operator, value."""

    token: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Storm control: to each recipient at most so many deliveries in so many minutes, one by one."""

    deliveries: int
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A subscription as fan-out needs it, read once for a batch of events."""

    subscription_id: int
    queue_id: int
    is_ordered: bool
    type_ids: frozenset[int]  # empty: every type of the queue
    operations: frozenset[str]
    conditions: tuple[Condition, ...]
    endpoint_id: int | None
    profile_id: int | None  # email: the subscription's own profile
    addresses: tuple[str, ...]
    address_tokens: tuple[str, ...]
    limit: Limit | None = None

    @property
    def is_email(self) -> bool:
        """Whether the notification is an email."""
        return self.endpoint_id is None

    @property
    def looks_inside(self) -> bool:
        """Whether the payload decides who gets it."""
        return bool(self.conditions or self.address_tokens)


def resolve(data: Mapping[str, Any], token: str) -> Any:
    """Return the value at a dotted token path of the payload, or None where there is none."""
    value: Any = data
    for part in token.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def wants(plan: Plan, fact: Fact) -> bool:
    """Tell whether the subscription gets the event."""
    return (
        plan.queue_id in fact.queue_ids
        and (not plan.type_ids or fact.type_id in plan.type_ids)
        and fact.operation in plan.operations
        and all(holds(condition, resolve(fact.data, condition.token)) for condition in plan.conditions)
    )


def holds(condition: Condition, value: Any) -> bool:
    """Tell whether a condition holds for a value; a missing value satisfies only "is not"."""
    text = _text(value)
    match condition.operator:
        case "is":
            return _equal(text, condition.value)
        case "is_not":
            return not _equal(text, condition.value)
        case "in":
            return any(_equal(text, option.strip()) for option in condition.value.split(","))
        case "gt" | "lt":
            left, right = _number(text), _number(condition.value)
            if left is None or right is None:
                return False
            return left > right if condition.operator == "gt" else left < right
    raise ValueError(f"unknown operator {condition.operator!r}")


def recipients(plan: Plan, fact: Fact) -> list[str]:
    """Return the addresses of an email, each once; a webhook has the one empty recipient.

    For an email, an empty one stands for what leads nowhere: it is put on record, not passed over.
    """
    if not plan.is_email:
        return [""]
    found = list(plan.addresses)
    for token in plan.address_tokens:
        value = resolve(fact.data, token)
        text = value.strip() if isinstance(value, str) else ""
        found.append(text if _is_address(text) else "")
    unique = {address.lower(): address for address in reversed(found)}
    return sorted(unique.values(), key=str.lower) or [""]


def _is_address(text: str) -> bool:
    try:
        envelope_address(text)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _equal(left: str | None, right: str) -> bool:
    if left is None:
        return False
    if left == right:
        return True
    if not (_LIKE_A_NUMBER.match(left) and _LIKE_A_NUMBER.match(right)):
        return False
    numbers = _number(left), _number(right)
    return None not in numbers and numbers[0] == numbers[1]


def _number(text: str | None) -> Decimal | None:
    try:
        number = Decimal(text) if text is not None else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None
