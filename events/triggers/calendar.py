"""Write into the calendar what a date of an object will fire, and keep it as the object is reported."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.utils import timezone

from events import moments, payload
from events.models import Change, ScheduledFiring, Trigger

from . import scope
from .change import Seen, why_not
from .conditions import State, judge
from .due import due_at
from .ledger import Ledger, Outcome
from .odd import OddValue
from .rules import Rule
from .values import moment, shown

Status = ScheduledFiring.Status
Source = Trigger.Source
# What a report may open again: the conditions were not true, and nobody decided otherwise.
REOPENED = (Status.CANCELLED, Status.NOT_MET, Status.FAULTY)


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What a rule counts from: a date of an object or of an event."""

    key: str
    at: datetime
    is_date: bool
    kind: str
    external_id: str
    account: str
    zone: str
    period: str = ""
    match_value: str = ""
    event_id: int | None = None


def plan_for(rule: Rule, seen: Seen, ledger: Ledger) -> None:
    """Enter, move, withdraw or leave what the rule will fire for an object, as a change demands."""
    change = seen.change
    if change.after is None:
        withdraw(rule, seen.where, ledger, "The object was deleted.", keep_period=None)
        return
    anchor = anchor_of(rule, change, seen)
    if anchor is None:
        detail = (
            f"{rule.row.date_path} is {shown(payload.lookup(change.after, rule.row.date_path))}, no date."
        )
        withdraw(rule, seen.where, ledger, detail, keep_period=None)
        return
    if rule.row.source == Source.COMMITMENT:
        _close_earlier(rule, seen, anchor.period)
    verdict = judge(rule.conditions, seen.facts, match_all=rule.row.match_all)
    if not verdict.is_met:
        withdraw(rule, seen.where, ledger, why_not(rule, verdict), keep_period=anchor.period)
        return
    if told := too_early(rule, anchor):
        withdraw(rule, seen.where, ledger, told, keep_period=anchor.period)
    elif enter(rule, anchor):
        due = due_of(rule, anchor)
        ledger.note(
            rule.id, Outcome.SCHEDULED, detail=f"Will fire at {due:%Y-%m-%d %H:%M} UTC.", findings=verdict.findings,
            period=anchor.period, **seen.where,
        )  # fmt: skip


def anchor_of(rule: Rule, change: Change, seen: Seen) -> Anchor | None:
    """Return what the object's date is; None if it has none."""
    state = change.after or {}
    told = payload.lookup(state, rule.row.date_path)
    at = moment(told)
    if at is None:
        return None
    period = _period(rule, state)
    suffix = f":{period}" if period else ""
    return Anchor(
        key=f"{change.kind}:{change.external_id}{suffix}"[:300],
        at=at,
        is_date=is_calendar_date(told),
        kind=change.kind,
        external_id=change.external_id,
        account=seen.account,
        zone=scope.zone_for(rule.row.timezone, seen.states).key,
        period=period,
    )


def is_calendar_date(told: Any) -> bool:
    """Whether a reported value is a date without a time, which means the same day in every zone."""
    return isinstance(told, str) and len(told.strip()) == len("2026-11-22")


def due_of(rule: Rule, anchor: Anchor | ScheduledFiring) -> datetime:
    """Return when it falls due, by the rule's x, t and zone."""
    assert rule.row.offset_days is not None
    assert rule.row.at_time is not None
    at = anchor.at if isinstance(anchor, Anchor) else anchor.anchor_at
    start: date | datetime = at.astimezone(UTC).date() if anchor.is_date else at
    zone = scope.zone_for(anchor.zone, {})
    try:
        due = due_at(start, rule.row.offset_days, rule.row.at_time, zone)
    except (OverflowError, ValueError):
        due = None
    if due is None or not moments.is_storable(due):
        what = rule.row.date_path or "the time of the event"
        raise OddValue(
            f"{what} is {start:%Y-%m-%d}: {rule.row.offset_days} days later is outside the years 1970 to 2999. "
            "Correct the reported date, or leave it empty where there is none."
        )
    return due


def enter(rule: Rule, anchor: Anchor) -> bool:
    """Enter the anchor into the calendar, or move what is there; return whether that changed anything.

    What a person moved or cancelled stays so until its date is another; what has fired stays fired.
    What fell due before the rule was activated is not entered.
    """
    if too_early(rule, anchor):
        return False
    due, version = due_of(rule, anchor), rule.row.schedule_version
    fields: dict[str, Any] = {
        "anchor_event_id": anchor.event_id,
        "anchor_at": anchor.at,
        "is_date": anchor.is_date,
        "kind": anchor.kind,
        "external_id": anchor.external_id,
        "account": anchor.account,
        "period": anchor.period,
        "match_value": anchor.match_value,
        "zone": anchor.zone,
        "due_at": due,
        "schedule_version": version,
    }
    made, is_new = ScheduledFiring.objects.select_for_update(no_key=True).get_or_create(
        trigger_id=rule.id, anchor_key=anchor.key, defaults=fields
    )
    if is_new or made.status == Status.FIRED:
        return is_new
    if made.is_by_hand and made.anchor_at == anchor.at:
        return False
    is_open = made.status == Status.PENDING
    if is_open and made.due_at == due and made.anchor_at == anchor.at:
        return False
    fields |= {"status": Status.PENDING, "reason": "", "settled_at": None, "is_by_hand": False}
    for name, value in fields.items():
        setattr(made, name, value)
    made.save(update_fields=list(fields))
    return True


def too_early(rule: Rule, anchor: Anchor) -> str:
    """Say that it fell due before the rule was activated; empty if it did not."""
    since, due = rule.row.active_since, due_of(rule, anchor)
    if since is None or due >= since:
        return ""
    return f"It was due at {due:%Y-%m-%d %H:%M} UTC, before the rule was activated."


def withdraw(
    rule: Rule, where: dict[str, Any], ledger: Ledger, reason: str, *, keep_period: str | None
) -> None:
    """Cancel what waits for an object (of one period, unless that is None), and note why."""
    waiting = ScheduledFiring.objects.filter(
        trigger_id=rule.id, kind=where["kind"], external_id=where["external_id"], status=Status.PENDING
    )
    if keep_period is not None:
        waiting = waiting.filter(period=keep_period)
    number = waiting.update(status=Status.CANCELLED, reason=reason[:300], settled_at=timezone.now())
    outcome = Outcome.CANCELLED if number else Outcome.NOT_MET
    ledger.note(rule.id, outcome, detail=reason, **where)


def _close_earlier(rule: Rule, seen: Seen, period: str) -> None:
    """A period that a later one replaced is closed: what waits for it falls due now, on its last state."""
    ScheduledFiring.objects.filter(
        trigger_id=rule.id, kind=seen.change.kind, external_id=seen.change.external_id,
        status=Status.PENDING, is_by_hand=False, due_at__gt=seen.now,
    ).exclude(period=period).update(due_at=seen.now)  # fmt: skip


def _period(rule: Rule, state: State) -> str:
    if not rule.row.period_path:
        return ""
    return str(payload.lookup(state, rule.row.period_path) or "")[:200]
