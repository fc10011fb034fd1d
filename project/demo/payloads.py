"""What the demo publishes: the catalog's samples, retold for three accounts, today, with ids of their own."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from events.catalog import BY_CODE, sample

# A month in the life of an account, told in this order.
STORY = (
    "bill_run.started",
    "bill_run.completed",
    "invoice.posted",
    "invoice.delivered",
    "invoice.delivery_offset",
    "payment.failed",
    "invoice.overdue",
    "account.status_changed",
    "payment.processed",
    "credit.processed",
    "refund.processed",
    "usage.threshold_exceeded",
    "sim.dormant",
    "service.state_transitioned",
    "package.cancelled",
    "contract.under_committed",
    "account.cancelled",
)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(T.*)?")
_NUMBERED = ("invoice", "payment", "refund", "credit")
_TAX = Decimal("0.13")


@dataclass(frozen=True, kw_only=True)
class Account:
    """One customer of the demo; `total` is what it is invoiced a month."""

    code: str
    name: str
    first_name: str
    email: str
    total: Decimal
    currency: str
    timezone: str
    locale: str
    place: tuple[str, str, str, str]  # city, state, postal code, country


ACCOUNTS = (
    Account(
        code="EXAMPLE",
        name="Example Manufacturing Ltd",
        first_name="Alex",
        email="billing@manufacturing.example.com",
        total=Decimal("249.00"),
        currency="CAD",
        timezone="America/Toronto",
        locale="en-CA",
        place=("Toronto", "ON", "M5V 0A1", "CA"),
    ),
    Account(
        code="SAMPLE",
        name="Sample Logistics Inc",
        first_name="Sam",
        email="accounts@logistics.example.com",
        total=Decimal("89.50"),
        currency="USD",
        timezone="America/Chicago",
        locale="en-US",
        place=("Chicago", "IL", "60601", "US"),
    ),
    Account(
        code="MODEL",
        name="Model Energy GmbH",
        first_name="Robin",
        email="rechnung@energy.example.com",
        total=Decimal("640.75"),
        currency="EUR",
        timezone="Europe/Berlin",
        locale="de-DE",
        place=("Berlin", "BE", "10115", "DE"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One event to be posted."""

    type: str
    data: dict[str, Any]


def drafts(first: int, today: date) -> Iterator[Draft]:
    """Yield every kind of event for every account; ids count up from `first`."""
    number = first
    for code in STORY:
        for position, account in enumerate(ACCOUNTS):
            number += 1
            data = _retold(sample(BY_CODE[code]), code, account, number, today)
            owner = "account" if "account" in data else "bill_run"
            # Fresh for each run: no lane of the past is in the way, whatever became of it.
            data[owner]["id"] = str(first + position)
            if owner == "account":
                data[owner]["name"] = f"{account.code}-{first + position}"
            else:
                data[owner]["name"] = f"{today:%B %Y}, cycle {position + 1}"
                data[owner]["bill_group"] = f"Monthly, cycle {position + 1}"
            yield Draft(type=code, data=data)


def _retold(told: dict[str, Any], code: str, account: Account, number: int, today: date) -> dict[str, Any]:
    """Return a sample payload with the account's values, fresh numbers, and dates as of today."""
    exact = _values(account) if "account" in told else {}
    parts = {}
    for group in _NUMBERED:
        if group in told:
            old = told[group]["number"]
            parts[old] = f"{old.partition('-')[0]}-{number}"
            exact[told[group]["id"]] = str(number)
    if "service" in told:
        old = told["service"]["identifier"]
        parts[old] = f"{old[: -len(str(number))]}{number}"
    days = (today - date.fromisoformat(BY_CODE[code].occurred_at[:10])).days
    return {name: _rewritten(value, exact, parts, days) for name, value in told.items()}


def _values(account: Account) -> dict[str, str]:
    """Return the sample's values of an account with those that take their place."""
    old = sample(BY_CODE["invoice.posted"])
    company, invoice = old["account"]["company"], old["invoice"]
    tax = (account.total * _TAX / (1 + _TAX)).quantize(Decimal("0.01"))
    return {
        old["account"]["display_name"]: account.name,
        old["account"]["currency"]: account.currency,
        old["account"]["timezone"]: account.timezone,
        old["account"]["locale"]: account.locale,
        old["contact"]["first_name"]: account.first_name,
        old["contact"]["email"]: account.email,
        **dict(zip((company[name] for name in _PLACE), account.place, strict=True)),
        invoice["total"]: str(account.total),
        invoice["tax"]: str(tax),
        invoice["subtotal"]: str(account.total - tax),
    }


_PLACE = ("city", "state", "postal_code", "country")


def _rewritten(value: Any, exact: Mapping[str, str], parts: Mapping[str, str], days: int) -> Any:
    if isinstance(value, dict):
        return {name: _rewritten(item, exact, parts, days) for name, item in value.items()}
    if isinstance(value, list):
        return [_rewritten(item, exact, parts, days) for item in value]
    if not isinstance(value, str):
        return value
    if value in exact:
        return exact[value]
    if found := _DATE.fullmatch(value):
        return f"{date.fromisoformat(found[1]) + timedelta(days=days)}{found[2] or ''}"
    for old, new in parts.items():
        value = value.replace(old, new)
    return value
