"""Rules about absence: a daily scan for what has been silent too long, once for each dormant spell.

A spell is named by the last activity, so that new activity begins another: that re-arms the rule, and nothing
else does. The scan walks an index of (last activity, id) in batches and reads objects only of those that are
due and have not been told of, so its memory is that of a batch.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, LiteralString

from django.db import connection, transaction
from django.utils import timezone

from events import payload
from events.lineage import lineage
from events.models import Activity, BillingObject, Event, Firing, Trigger

from . import known, recover, scope
from .change import why_not
from .conditions import Facts, Verdict, judge
from .fire import Occasion, fire
from .guard import guarded
from .ledger import Ledger, Outcome
from .payloads import Material
from .rules import Rule, active
from .silent import DAY, Silent, batches
from .values import moment, number

Source = Trigger.Source
AT_ONCE = 100  # as many activities are locked while their events are published

_TOLD: LiteralString = """
SELECT external_id, period FROM events_firing
WHERE trigger_id = %s AND kind = %s AND tier = '' AND external_id = ANY(%s)
"""
_WOKEN: LiteralString = """
SELECT f.id, a.last_at FROM events_firing AS f
JOIN events_activity AS a ON a.kind = f.kind AND a.external_id = f.external_id AND a.activity = %s
WHERE f.trigger_id = %s AND f.recovered_at IS NULL AND f.event_id IS NOT NULL
  AND (f.period = 'never' OR (extract(epoch FROM a.last_at) * 1000000)::bigint > f.period::bigint)
ORDER BY f.id LIMIT 500
"""


def scan_all() -> int:
    """Scan for every active rule about absence; return how many events that came to."""
    return sum(scan(rule) for rule in active([Source.INACTIVITY]))


def scan(rule: Rule, *, now: datetime | None = None) -> int:
    """Fire the rule for each object that has been silent too long and was not told of in this spell."""
    now, fired = now or timezone.now(), 0
    for batch in batches(rule, now):
        found = list(due(rule, batch, now))
        for start in range(0, len(found), AT_ONCE):
            with transaction.atomic():
                ledger = Ledger()
                for silent, row in _still_silent(rule, found[start : start + AT_ONCE]):
                    _look(rule, silent, row, now, ledger)
                fired += ledger.fired
                ledger.flush()
    return fired


def find_woken() -> int:
    """Publish the recovery event of each dormant spell that activity ended; return how many."""
    found = 0
    for rule in active([Source.INACTIVITY]):
        while rule.row.recovery_type_id and (number := _wake_up(rule)):
            found += number
    return found


def days_allowed(rule: Rule, state: dict[str, Any]) -> int:
    """Return after how many days an object is dormant: its own, else its plan's, else the rule's."""
    own = number(payload.lookup(state, rule.row.days_path)) if rule.row.days_path else None
    if own is not None and own > 0:
        return int(own)
    plan = payload.lookup(state, rule.row.plan_path) if rule.row.plan_path else None
    return rule.plans.get(str(plan), rule.row.idle_days or 1)


def silent_since(silent: Silent, row: BillingObject) -> datetime:
    """Return from when silence counts: the last activity, or the activation if that came later."""
    state = row.state
    begun = moment(state.get("activated_at") or state.get("activated_on")) or row.created_at
    return (
        max(silent.last_at, begun)
        if silent.last_at and state.get("activated_on")
        else silent.last_at or begun
    )


def facts_of(row: BillingObject, now: datetime) -> Facts:
    """Return what the rule's conditions judge."""
    state = {"id": row.external_id, **row.state}
    return Facts(
        kind=row.kind, before=None, after=state, today=now.date(),
        load_parents=lambda: lineage(row),
    )  # fmt: skip


def due(rule: Rule, batch: list[Silent], now: datetime) -> Iterator[tuple[Silent, BillingObject]]:
    """Yield those that are silent for as long as each of them may be, and of whose spell nobody was told."""
    ids = [each.external_id for each in batch]
    with connection.cursor() as cursor:
        cursor.execute(_TOLD, [rule.id, rule.row.object_kind, ids])
        told = set(cursor.fetchall())
    left = {each.external_id: each for each in batch if (each.external_id, each.spell) not in told}
    rows = BillingObject.objects.filter(
        kind=rule.row.object_kind, external_id__in=left, deleted_at=None, reported_at__isnull=False
    )
    for row in rows:
        silent = left[row.external_id]
        if now - silent_since(silent, row) >= days_allowed(rule, row.state) * DAY:
            yield silent, row


def _still_silent(
    rule: Rule, found: list[tuple[Silent, BillingObject]]
) -> list[tuple[Silent, BillingObject]]:
    """Lock their activity: usage that is reported meanwhile ended the spell already, or follows it."""
    locked = Activity.objects.select_for_update(no_key=True).filter(
        kind=rule.row.object_kind,
        activity=rule.row.activity,
        external_id__in=[row.external_id for _, row in found],
    )
    latest = dict(locked.order_by("external_id").values_list("external_id", "last_at"))
    return [(silent, row) for silent, row in found if latest.get(row.external_id) == silent.last_at]


def _look(rule: Rule, silent: Silent, row: BillingObject, now: datetime, ledger: Ledger) -> None:
    account = str(payload.lookup(row.state, "account.id") or "")[:100]
    where = {"kind": row.kind, "external_id": row.external_id, "account": account}
    facts = facts_of(row, now)
    verdict = judge(rule.conditions, facts, match_all=rule.row.match_all)
    if not verdict.is_met:
        detail = why_not(rule, verdict)
        ledger.note(rule.id, Outcome.NOT_MET, detail=detail, findings=verdict.findings, **where)
        return
    guarded(
        rule, ledger, where, lambda: _tell(rule, occasion(rule, silent, row, now, facts), ledger, verdict)
    )


def _tell(rule: Rule, occasion: Occasion, ledger: Ledger, verdict: Verdict) -> None:
    fire(rule, occasion, ledger, verdict)


def occasion(rule: Rule, silent: Silent, row: BillingObject, now: datetime, facts: Facts) -> Occasion:
    """Return what the rule fires for."""
    days = (now - silent_since(silent, row)).days
    computed = {
        "dormancy.threshold_days": days_allowed(rule, row.state),
        "dormancy.days": days,
        "dormancy.kind": rule.row.activity,
        "usage.last_at": known.instant(silent.last_at) if silent.last_at else None,
        "usage.never_used": silent.last_at is None,
    }
    return Occasion(
        kind=row.kind,
        external_id=row.external_id,
        account=scope.account_of(row.kind, row.external_id, facts.parents, row.state),
        source=Event.Source.INACTIVITY,
        period=silent.spell,
        detail=f"No {rule.row.get_activity_display().lower()} for {days} days.",
        material=lambda: Material(
            kind=row.kind, states=facts.parents, computed=computed,
            fallbacks=known.fallbacks(row.kind, row.external_id),
        ),
    )  # fmt: skip


@transaction.atomic
def _wake_up(rule: Rule) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_WOKEN, [rule.row.activity, rule.id])
        woken = dict(cursor.fetchall())
    ledger = Ledger()
    for firing in Firing.objects.select_for_update(skip_locked=True).filter(pk__in=woken, recovered_at=None):
        states = scope.family(firing.kind, firing.external_id)
        woke = Occasion(
            kind=firing.kind,
            external_id=firing.external_id,
            account=scope.account_of(firing.kind, firing.external_id, states),
            source=Event.Source.INACTIVITY,
            period=firing.period,
            occurred_at=woken[firing.pk],
            detail="It is used again.",
            material=partial(_of_woken, rule, firing, states, woken[firing.pk]),
        )
        where = {"kind": woke.kind, "external_id": woke.external_id, "account": woke.account}
        if guarded(rule, ledger, where, partial(recover.recovered, rule, firing, woke, ledger)):
            # It would be tried, and fail, for ever.
            Firing.objects.filter(pk=firing.pk).update(recovered_at=timezone.now())
    ledger.flush()
    return len(woken)


def _of_woken(rule: Rule, firing: Firing, states: dict[str, Any], at: datetime) -> Material:
    return Material(
        kind=firing.kind,
        states=states,
        computed={"usage.last_at": known.instant(at), "dormancy.kind": rule.row.activity},
        fallbacks=known.fallbacks(firing.kind, firing.external_id),
    )
