"""Fire what has fallen due in the calendar, a row at a time, and compute anew what an edited rule moved."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from events.models import Change, Event, ScheduledFiring, Trigger

from . import known, scope
from .calendar import due_of
from .change import why_not
from .conditions import Facts, Verdict, judge
from .due import late
from .fire import MOST_DEEP, Occasion, fire
from .guard import guarded
from .ledger import Ledger, Outcome
from .material import commitment_shortfalls, of_date, of_schedule, together
from .payloads import Material
from .rules import Rule, read

Status = ScheduledFiring.Status
Source = Trigger.Source
BATCH = 100


def settle_due(*, most: int = BATCH) -> int:
    """Fire, or close with the reason, what is due; return how many rows. Others may do so beside it."""
    done = 0
    while done < most and _settle_next():
        done += 1
    return done


def next_due() -> datetime | None:
    """Return when the next row of the calendar falls due."""
    return (
        ScheduledFiring.objects.filter(status=Status.PENDING, trigger__is_active=True)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
    )


def recompute(*, most: int = 1_000) -> int:
    """Move rows that an older x, t or zone computed; return how many. What a person moved stays."""
    stale = list(
        ScheduledFiring.objects.select_for_update(skip_locked=True, of=["self"])
        .filter(status=Status.PENDING)
        .exclude(schedule_version=F("trigger__schedule_version"))
        .order_by("pk")[:most]
    )
    rules = {rule.id: rule for rule in read(Trigger.objects.filter(pk__in={row.trigger_id for row in stale}))}
    for row in stale:
        _bring_up_to_date(row, rules[row.trigger_id])
    ScheduledFiring.objects.bulk_update(stale, ["due_at", "zone", "schedule_version"])
    return len(stale)


@transaction.atomic
def _settle_next() -> bool:
    now = timezone.now()
    row = (
        ScheduledFiring.objects.select_for_update(skip_locked=True, of=["self"])
        .filter(status=Status.PENDING, due_at__lte=now, trigger__is_active=True)
        .order_by("due_at")
        .first()
    )
    if row is None:
        return False
    [rule] = read(Trigger.objects.filter(pk=row.trigger_id))
    if row.schedule_version != rule.row.schedule_version:
        _bring_up_to_date(row, rule)
        row.save(update_fields=["due_at", "zone", "schedule_version"])
        if row.due_at > now:
            return True
    ledger = Ledger()
    if fault := guarded(rule, ledger, _where(row), partial(_settle, row, rule, ledger, now)):
        _close(row, Status.FAULTY, fault, now)
    ledger.flush()
    return True


def _settle(row: ScheduledFiring, rule: Rule, ledger: Ledger, now: datetime) -> None:
    row.late_by = now - row.due_at
    since = rule.row.active_since
    if since is not None and row.due_at < since and not row.is_by_hand:
        detail = "It fell due while the rule was off."
        ledger.note(rule.id, Outcome.CANCELLED, detail=detail, **_where(row))
        _close(row, Status.CANCELLED, detail, now)
        return
    late_by = late(row.due_at, now)
    facts, material = _evidence(row, rule, now)
    verdict = judge(rule.conditions, facts, match_all=rule.row.match_all)
    if not verdict.is_met:
        detail = why_not(rule, verdict)
        ledger.note(rule.id, Outcome.NOT_MET, detail=detail, findings=verdict.findings, **_where(row))
        _close(row, Status.NOT_MET, detail, now)
        return
    told = f"Due at {row.due_at:%Y-%m-%d %H:%M} UTC" + (f", {late_by} late." if late_by else ".")
    events = [
        fire(rule, _occasion(row, rule, of_tier, tier, told), ledger, verdict)
        for tier, of_tier in _tiers(row, rule, material, ledger, verdict)
    ]
    fired = [each for each in events if each is not None]
    if fired:
        row.event_id = fired[0]
        _close(row, Status.FIRED, f"{late_by} late" if late_by else "", now)
    else:
        _close(row, Status.NOT_MET, "See the ledger.", now)


def _evidence(row: ScheduledFiring, rule: Rule, now: datetime) -> tuple[Facts, Material]:
    """What the conditions are judged on, and the payload filled from, as at firing."""
    states = scope.family(row.kind, row.external_id)
    own = states.get(row.kind)
    if row.period and (closing := _closing_state(row, rule)):
        own = states[row.kind] = {"id": row.external_id, **closing}
    zone = scope.zone_for(row.zone, {})
    today = scope.today_in(zone, now)
    if rule.row.source == Source.SCHEDULE:
        material = of_schedule(row, rule, states)
        own = {**(own or {}), **together(material)}
    else:
        material = of_date(row, states, today)
    facts = Facts(kind=row.kind, before=None, after=own, today=today, load_parents=lambda: states)
    return facts, material


def _closing_state(row: ScheduledFiring, rule: Rule) -> dict[str, Any] | None:
    """The last state of the row's own period, if the object is in a later one by now."""
    path = rule.row.period_path.replace(".", "__")
    last = (
        Change.objects.filter(kind=row.kind, external_id=row.external_id, folded_at__isnull=False)
        .filter(**{f"before__{path}": row.period})
        .order_by("-id")
        .first()
    )
    current = (last.after or {}) if last else {}
    for name in rule.row.period_path.split("."):
        current = current.get(name) if isinstance(current, dict) else None
    return last.before if last and str(current or "") != row.period else None


def _tiers(
    row: ScheduledFiring, rule: Rule, material: Material, ledger: Ledger, verdict: Verdict
) -> list[tuple[str, Material]]:
    if rule.row.source != Source.COMMITMENT:
        return [("", material)]
    short = commitment_shortfalls(rule, material)
    if not short:
        detail = "Every tier of the commitment was reached."
        ledger.note(rule.id, Outcome.NOT_MET, detail=detail, findings=verdict.findings, **_where(row))
    return short


def _occasion(row: ScheduledFiring, rule: Rule, material: Material, tier: str, told: str) -> Occasion:
    is_dated = rule.row.source != Source.SCHEDULE
    depth = 0 if is_dated else _depth(row.anchor_event_id)
    if depth > MOST_DEEP:
        raise RuntimeError(f"Events caused each other more than {MOST_DEEP} deep.")
    return Occasion(
        kind=row.kind or "event",
        external_id=row.external_id or str(row.anchor_event_id),
        account=row.account,
        source=Event.Source.SCHEDULE if rule.row.source != Source.COMMITMENT else Event.Source.THRESHOLD,
        tier=tier,
        period=row.period if is_dated else f"event {row.anchor_event_id}",
        material=lambda: material,
        depth=depth,
        detail=told,
    )


def _depth(event_id: int | None) -> int:
    cause = known.depth_of(event_id) if event_id is not None else 0
    return cause + 1


def _bring_up_to_date(row: ScheduledFiring, rule: Rule) -> None:
    row.schedule_version = rule.row.schedule_version
    if row.is_by_hand:
        return
    states = {} if rule.row.timezone else scope.family(row.kind, row.external_id)
    if rule.row.timezone or states:
        row.zone = scope.zone_for(rule.row.timezone, states).key
    row.due_at = due_of(rule, row)


def _close(row: ScheduledFiring, status: str, reason: str, now: datetime) -> None:
    row.status, row.reason, row.settled_at = status, reason[:300], now
    row.save(update_fields=["status", "reason", "settled_at", "event_id", "late_by"])


def _where(row: ScheduledFiring) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "external_id": row.external_id,
        "account": row.account,
        "period": row.period,
    }
