"""What the payloads of scheduled and dated events are made of."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from events import payload
from events.as_published import as_at
from events.models import BillingObject, Event, ScheduledFiring

from .known import decimal, fallbacks, instant
from .payloads import Material
from .rules import Rule
from .scope import zone_for
from .thresholds import HUNDRED, plain
from .values import moment, number

# An account with more invoices than this is told its own of them only.
MOST_INVOICES = 5_000


def of_schedule(row: ScheduledFiring, rule: Rule, states: dict[str, dict[str, Any]]) -> Material:
    """What a schedule tells: the event that started it, with its objects as at firing."""
    event = Event.objects.filter(pk=row.anchor_event_id or 0).only("data").first()
    base = payload.parse(event.data).value if event else {}
    days = rule.row.offset_days or 0
    anchor = rule.row.anchor.code.split(".")[-1].replace("_", " ") if rule.row.anchor else "event"
    what = {"delivered": "delivery"}.get(anchor, anchor)
    computed: dict[str, Any] = {
        "offset.days": days,
        "offset.time": f"{rule.row.at_time:%H:%M}",
        "offset.timezone": row.zone,
        "offset.due_at": instant(row.due_at),
        "offset.label": f"{days} day{'' if days == 1 else 's'} after {what}",
    }
    balance = payload.lookup(states, "invoice.balance") or payload.lookup(base, "invoice.balance")
    if (left := number(balance)) is not None:
        computed |= {"invoice.is_paid": left <= 0}
    return Material(
        kind=row.kind,
        states=states,
        computed=computed,
        fallbacks=fallbacks(row.kind, row.external_id) if row.kind else {},
        base=base,
    )


def together(material: Material) -> dict[str, Any]:
    """Return the payload that started it, with what is known of its objects now laid over it."""
    merged = dict(material.base)
    for kind, state in material.states.items():
        before = merged.get(kind)
        merged[kind] = {**(before if isinstance(before, dict) else {}), **state}
    return merged


def of_date(
    row: ScheduledFiring, states: dict[str, dict[str, Any]], today: date, *, at: datetime | None = None
) -> Material:
    """What a passed date tells: how long ago it was, and of an invoice what the account owes in all.

    With `at`, the account's other invoices are as they were then.
    """
    computed: dict[str, Any] = {"offset.due_at": instant(row.due_at), "offset.timezone": row.zone}
    if row.kind == "invoice":
        computed |= _overdue(row, states, today, at)
    return Material(
        kind=row.kind, states=states, computed=computed, fallbacks=fallbacks(row.kind, row.external_id)
    )


def commitment_shortfalls(rule: Rule, material: Material) -> list[tuple[str, Material]]:
    """Return each tier of the commitment that was not reached, as the key of its firing and its payload."""
    listed = payload.lookup(material.states.get(material.kind) or {}, rule.row.tiers_path)
    found = []
    for at, tier in enumerate(listed if isinstance(listed, list) else [], 1):
        committed, actual = number(payload.lookup(tier, "committed")), number(payload.lookup(tier, "actual"))
        if committed is None or actual is None or actual >= committed:
            continue
        name = payload.lookup(tier, "number") or at
        short = committed - actual
        computed = {
            **material.computed,
            "tier.number": name,
            "tier.name": payload.lookup(tier, "name"),
            "tier.unit": payload.lookup(tier, "unit"),
            "tier.committed": decimal(committed),
            "tier.actual": decimal(actual),
            "tier.shortfall": decimal(short),
            "tier.shortfall_percent": decimal(plain(short / committed * HUNDRED)),
            "penalty.amount": payload.lookup(tier, "penalty"),
        }
        found.append((str(name), replace(material, computed=computed)))
    return found


def is_overdue(state: dict[str, Any], today: date) -> bool:
    """Whether an invoice has a balance and its due date has passed."""
    balance, due = number(state.get("balance")), moment(state.get("due_date"))
    return balance is not None and balance > 0 and due is not None and due.astimezone(UTC).date() < today


def _overdue(
    row: ScheduledFiring, states: dict[str, dict[str, Any]], today: date, at: datetime | None
) -> dict[str, Any]:
    due = row.anchor_at.astimezone(UTC if row.is_date else zone_for(row.zone, {})).date()
    own = states.get(row.kind) or {}
    siblings = _invoices_of(row.account, at) if row.account else [own]
    owed = [number(each["balance"]) or Decimal(0) for each in siblings if is_overdue(each, today)]
    return {
        "invoice.days_overdue": (today - due).days,
        "invoice.overdue_amount": own.get("balance"),
        "overdue.since": (due + timedelta(days=1)).isoformat(),
        "account.total_overdue": decimal(sum(owed, Decimal(0))),
        "account.overdue_invoice_count": len(owed),
    }


def _invoices_of(account: str, at: datetime | None) -> Iterable[dict[str, Any]]:
    rows = BillingObject.objects.filter(kind="invoice", parent__kind="account", parent__external_id=account)
    if at is None:
        return rows.filter(deleted_at=None).values_list("state", flat=True)[:MOST_INVOICES]
    named = [("invoice", each) for each in rows.values_list("external_id", flat=True)[:MOST_INVOICES]]
    then = as_at(at, named)
    return [each.state for each in then if each.kind == "invoice" and each.state and not each.is_deleted]
