"""Events at which rules look: those that start a clock, cause another event, or withdraw what waits.

Publishing writes one narrow row for such an event, in its own transaction (events/publish.py). Which types
those are is remembered for some seconds in each process, so `catch_up` looks for the events that a process
published before it heard of a new rule.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from events import payload
from events.models import AnchorEntry, Event, ScheduledFiring, Trigger, TriggerCancellation

from . import chain, scope
from .calendar import Anchor, due_of, enter, is_calendar_date, too_early
from .guard import guarded
from .ledger import Ledger, Outcome
from .rules import Rule, active
from .values import moment

Source = Trigger.Source
Status = ScheduledFiring.Status
BATCH = 200
# Longer than any process remembers which types rules wait for, and than it takes to publish.
UNAWARE = timedelta(seconds=15)
_CATCH_UP = """
INSERT INTO events_anchorentry (event_id)
SELECT id FROM (
    SELECT id, created_at FROM events_event WHERE type_id = %s ORDER BY id DESC LIMIT 10000
) AS newest WHERE created_at BETWEEN %s AND %s
ON CONFLICT DO NOTHING
"""


def look_at_events(*, most: int = BATCH) -> int:
    """Have the rules look at the next events, in the caller's transaction; return how many there were."""
    entries = list(
        AnchorEntry.objects.select_for_update(of=["self"])
        .select_related("event__type")
        .order_by("event_id")[:most]
    )
    if not entries:
        return 0
    ledger, rules = Ledger(), _by_anchor()
    cancels = _cancellations()
    for entry in entries:
        event = entry.event
        data = payload.parse(event.data).value
        for cancellation in cancels[event.type_id]:
            _cancel(cancellation, event, data, ledger)
        for rule in rules[event.type_id]:
            where = where_of(event, data)
            look = chain.look if rule.row.source == Source.EVENT else _schedule
            guarded(rule, ledger, where, partial(look, rule, event, data, where, ledger))
    AnchorEntry.objects.filter(event_id__in=[entry.event_id for entry in entries]).delete()
    ledger.flush()
    return len(entries)


def waits() -> bool:
    """Whether there are events to look at."""
    return AnchorEntry.objects.exists()


def catch_up() -> int:
    """Find what processes published that had not heard of a rule yet, once it was activated; return how many."""
    found = 0
    heard = timezone.now() - UNAWARE
    waiting = Trigger.objects.filter(
        is_active=True, source__in=Trigger.OF_EVENTS, prepared_at=None, active_since__lt=heard
    )
    for row in waiting.prefetch_related("cancellations"):
        assert row.active_since is not None
        types = {row.anchor_id, *(each.event_type_id for each in row.cancellations.all())}
        with transaction.atomic(), connection.cursor() as cursor:
            for event_type_id in types:
                cursor.execute(_CATCH_UP, [event_type_id, row.active_since, row.active_since + UNAWARE])
                found += cursor.rowcount
            Trigger.objects.filter(pk=row.pk).update(prepared_at=timezone.now())
    return found


def where_of(event: Event, data: dict[str, Any]) -> dict[str, Any]:
    """Return the object that an event is about, as far as its payload tells: for the ledger and the calendar."""
    kind = event.type.resource
    told = payload.lookup(data, f"{kind}.id")
    if kind == "sim" and told is None:
        told = payload.lookup(data, "sim.iccid")
    if isinstance(told, str | int) and not isinstance(told, bool):
        return {"kind": kind, "external_id": str(told)[:100], "account": event.account}
    return {"kind": "event", "external_id": event.public_id, "account": event.account}


def anchor_of(
    rule: Rule,
    event: Event,
    data: dict[str, Any],
    where: dict[str, Any],
    *,
    states: dict[str, dict[str, Any]] | None = None,
) -> Anchor:
    """Return what the rule counts from: the date in the payload, else the time at which it happened.

    `states` are its objects; None: they are read as they are now.
    """
    told = payload.lookup(data, rule.row.date_path) if rule.row.date_path else None
    at = moment(told)
    if states is None:
        states = {} if rule.row.timezone else scope.family(where["kind"], where["external_id"])
    account = {**(states.get("account") or {}), **(data.get("account") or {})}
    return Anchor(
        key=f"event {event.pk}",
        at=at or event.occurred_at,
        is_date=at is not None and is_calendar_date(told),
        zone=scope.zone_for(rule.row.timezone, {"account": account}).key,
        event_id=event.pk,
        **where,
    )


def _schedule(rule: Rule, event: Event, data: dict[str, Any], where: dict[str, Any], ledger: Ledger) -> None:
    """Enter into the calendar what the event started."""
    anchor = anchor_of(rule, event, data, where)
    if told := too_early(rule, anchor):
        ledger.note(rule.id, Outcome.NOT_MET, detail=told, **where)
    elif enter(rule, anchor):
        due = due_of(rule, anchor)
        ledger.note(rule.id, Outcome.SCHEDULED, detail=f"Will fire at {due:%Y-%m-%d %H:%M} UTC.", **where)


def _cancel(row: TriggerCancellation, event: Event, data: dict[str, Any], ledger: Ledger) -> None:
    """Withdraw what waits for the account of the event, or for the very thing that it names."""
    if not event.account:
        return
    waiting = ScheduledFiring.objects.filter(
        trigger_id=row.trigger_id, account=event.account, status=Status.PENDING, is_by_hand=False
    ).select_for_update(skip_locked=True)
    named = _named(payload.lookup(data, row.other_path)) if row.other_path else set()
    reason = f"{event.type.code} came ({event.public_id})."
    for each in waiting:
        if each.anchor_event_id is not None and each.anchor_event_id > event.pk:
            continue  # it started after this event
        if row.own_path and row.other_path and not _names(each, row.own_path, named):
            continue
        each.status, each.reason, each.settled_at = Status.CANCELLED, reason, timezone.now()
        each.save(update_fields=["status", "reason", "settled_at"])
        ledger.note(
            row.trigger_id, Outcome.CANCELLED, detail=reason, kind=each.kind, external_id=each.external_id,
            account=each.account, period=each.period,
        )  # fmt: skip


def was_cancelled(rule: Rule, event: Event, data: dict[str, Any], due: datetime) -> bool:
    """Whether a stored event withdrew what this one started, before it fell due."""
    for row in rule.row.cancellations.all() if event.account else ():
        later = Event.objects.filter(
            type=row.event_type_id, account=event.account, pk__gt=event.pk, created_at__lte=due
        )
        if not (row.own_path and row.other_path):
            if later.exists():
                return True
            continue
        own = _named(payload.lookup(data, row.own_path))
        for each in later.order_by("pk").only("data")[:BATCH]:
            if own & _named(payload.lookup(payload.parse(each.data).value, row.other_path)):
                return True
    return False


def _names(each: ScheduledFiring, path: str, named: set[str]) -> bool:
    event = Event.objects.filter(pk=each.anchor_event_id or 0).only("data").first()
    data = payload.parse(event.data).value if event else scope.family(each.kind, each.external_id)
    return bool(_named(payload.lookup(data, path)) & named)


def _named(value: Any) -> set[str]:
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    return {str(each) for each in values if each is not None}


def _by_anchor() -> dict[int, list[Rule]]:
    rules = defaultdict(list)
    for rule in active(Trigger.OF_EVENTS):
        assert rule.row.anchor_id is not None
        rules[rule.row.anchor_id].append(rule)
    return rules


def _cancellations() -> dict[int, list[TriggerCancellation]]:
    rows = defaultdict(list)
    for row in TriggerCancellation.objects.filter(trigger__is_active=True).select_related("event_type"):
        rows[row.event_type_id].append(row)
    return rows
