"""Try a rule on stored history: how often, for how many accounts, and three examples. Nothing is published."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Min
from django.utils import timezone

from events import payload
from events.models import BackTest, BillingObject, Change, Event, ScheduledFiring, Trigger

from . import anchors, calendar, chain, change, dormancy, scope, threshold
from . import silent as silent_ones
from .change import Seen
from .conditions import Facts, judge
from .fire import Occasion
from .material import commitment_shortfalls, of_date, of_schedule
from .payloads import Material, build
from .rules import Rule, of

Source = Trigger.Source
EXAMPLES = 3
BATCH = 500


@dataclass(kw_only=True)
class Tally:
    """What would have fired so far. A key counts once, as a firing does."""

    rule: Rule
    keys: set[int] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    examples: list[dict[str, Any]] = field(default_factory=list)
    looked_at: int = 0
    fired: int = 0

    def add(self, occasion: Occasion, at: datetime) -> None:
        """Count what would have fired, unless it would have before."""
        key = hash((occasion.kind, occasion.external_id, occasion.tier, occasion.period))
        if key in self.keys:
            return
        self.keys.add(key)
        if occasion.is_covered:
            return
        self.fired += 1
        if occasion.account:
            self.accounts.add(occasion.account)
        if len(self.examples) < EXAMPLES:
            data = build(self.rule.row.event_type, self.rule.fields, occasion.material())
            self.examples.append(
                {
                    "object": f"{occasion.kind}:{occasion.external_id}",
                    "account": occasion.account,
                    "at": at.isoformat(),
                    "detail": occasion.detail,
                    "data": data,
                }
            )


def start(trigger: Trigger, days: int, user: Any = None) -> BackTest:
    """Make the row of a back-test; `carry_out` does the work, here or in the background."""
    return BackTest.objects.create(trigger=trigger, days=days, requested_by=user)


def carry_out(pk: int, *, seconds: float | None = None) -> bool:
    """Carry out a back-test, with its progress in its row; False if `seconds` ended first, and it begins anew.

    A person's cancelling ends it at the next look.
    """
    test = BackTest.objects.select_related("trigger__event_type", "trigger__anchor").get(pk=pk)
    if test.status != BackTest.Status.RUNNING:
        return True
    ends = timezone.now() + timedelta(seconds=seconds) if seconds is not None else None
    tally = Tally(rule=of(test.trigger))
    since = timezone.now() - timedelta(days=test.days)
    try:
        for looked_at, total in _run(tally, since):
            tally.looked_at = looked_at
            if ends is not None and timezone.now() > ends:
                return False
            if not _progress(test, tally, total):
                return True
    except Exception as error:
        test.status, test.error = BackTest.Status.FAILED, f"{type(error).__name__}: {error}"[:1000]
    else:
        test.status = BackTest.Status.DONE
    test.total = test.looked_at = tally.looked_at
    test.ended_at = timezone.now()
    _write(test, tally, ["status", "error", "total", "ended_at"])
    return True


def cancel(test: BackTest) -> bool:
    """Stop it; whether it was running."""
    running = BackTest.objects.filter(pk=test.pk, status=BackTest.Status.RUNNING)
    return bool(running.update(status=BackTest.Status.CANCELLED, ended_at=timezone.now()))


def _progress(test: BackTest, tally: Tally, total: int) -> bool:
    """Write how far it is; False once a person cancelled it."""
    test.looked_at, test.total = tally.looked_at, max(total, tally.looked_at)
    _write(test, tally, ["total"])
    return BackTest.objects.filter(pk=test.pk, status=BackTest.Status.RUNNING).exists()


def _write(test: BackTest, tally: Tally, more: list[str]) -> None:
    test.fired, test.accounts = tally.fired, len(tally.accounts)
    test.result, test.seen_at = {"examples": tally.examples}, timezone.now()
    test.save(update_fields=["looked_at", "fired", "accounts", "result", "seen_at", *more])


def _run(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Yield how many were looked at, and of how many about, after each batch."""
    match tally.rule.row.source:
        case Source.CHANGE | Source.THRESHOLD:
            return _changes(tally, since)
        case Source.DATE | Source.COMMITMENT:
            return _dates(tally, since)
        case Source.SCHEDULE | Source.EVENT:
            return _events(tally, since)
        case _:
            return _silent(tally, since)


def _changes(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    rule = tally.rule
    rows = Change.objects.filter(
        kind=rule.row.object_kind, reported_at__gte=since, folded_at__isnull=False
    ).exclude(error__gt="")
    bounds = rows.aggregate(first=Min("id"), last=Max("id"))
    first, last, looked = bounds["first"] or 0, bounds["last"] or 0, 0
    after = first - 1
    while batch := list(rows.filter(id__gt=after).order_by("id")[:BATCH]):
        for each in batch:
            for occasion in _occasions(rule, Seen(change=each, now=each.reported_at)):
                tally.add(occasion, each.occurred_at)
        after, looked = batch[-1].pk, looked + len(batch)
        # Ids of other kinds lie between: about as many as are left, by how far it came.
        done = max(after - first + 1, 1)
        yield looked, looked * (last - first + 1) // done


def _occasions(rule: Rule, seen: Seen) -> list[Occasion]:
    if rule.row.source == Source.CHANGE:
        verdict = change.verdict_on(rule, seen)
        return [change.occasion(rule, seen)] if verdict and verdict.is_met else []
    if seen.change.after is None or not (crossed := threshold.crossed_by(rule, seen.change)):
        return []
    if not judge(rule.conditions, seen.facts, match_all=rule.row.match_all).is_met:
        return []
    return [threshold.occasion(seen, each) for each in crossed]


def _dates(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Dates that passed lately, on the objects as they are now: what they were then is not looked up."""
    rule, now, after, looked = tally.rule, timezone.now(), 0, 0
    rows = BillingObject.objects.filter(kind=rule.row.object_kind, deleted_at=None, reported_at__isnull=False)
    while batch := list(rows.filter(pk__gt=after).order_by("pk")[:BATCH]):
        for row in batch:
            seen = Seen(
                change=Change(
                    kind=row.kind, external_id=row.external_id, operation="update", after=row.state,
                    occurred_at=row.reported_at or now,
                ),
                now=now,
            )  # fmt: skip
            anchor = calendar.anchor_of(rule, seen.change, seen)
            due = calendar.due_of(rule, anchor) if anchor else None
            if anchor is None or due is None or not since <= due <= now:
                continue
            if judge(rule.conditions, seen.facts, match_all=rule.row.match_all).is_met:
                _add_dated(tally, anchor, due, seen)
        after, looked = batch[-1].pk, looked + len(batch)
        yield looked, looked


def _add_dated(tally: Tally, anchor: calendar.Anchor, due: datetime, seen: Seen) -> None:
    rule = tally.rule
    row = ScheduledFiring(
        kind=anchor.kind, external_id=anchor.external_id, account=anchor.account, zone=anchor.zone, due_at=due,
        anchor_at=anchor.at, is_date=anchor.is_date, period=anchor.period,
    )  # fmt: skip
    material = of_date(row, seen.states, scope.today_in(scope.zone_for(anchor.zone, {}), due))
    is_commitment = rule.row.source == Source.COMMITMENT
    for tier, each in commitment_shortfalls(rule, material) if is_commitment else [("", material)]:
        tally.add(_occasion(row, each, tier, f"Due at {due:%Y-%m-%d %H:%M} UTC."), due)


def _events(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    rule, now, looked, after = tally.rule, timezone.now(), 0, 0
    days = timedelta(days=(rule.row.offset_days or 0) + 2)
    start_at = since - days if rule.row.source == Source.SCHEDULE else since
    rows = Event.objects.select_related("type").filter(type=rule.row.anchor_id, created_at__gte=start_at)
    while batch := list(rows.filter(pk__gt=after).order_by("pk")[:BATCH]):
        for event in batch:
            data = payload.parse(event.data).value
            where = anchors.where_of(event, data)
            if rule.row.source == Source.EVENT:
                if chain.verdict_on(rule, event, data).is_met:
                    tally.add(chain.occasion(event, data, where, 1), event.occurred_at)
            else:
                _add_scheduled(tally, event, data, where, (since, now))
        after, looked = batch[-1].pk, looked + len(batch)
        yield looked, looked


def _add_scheduled(
    tally: Tally, event: Event, data: dict[str, Any], where: dict[str, Any], lately: tuple[datetime, datetime]
) -> None:
    rule = tally.rule
    anchor = anchors.anchor_of(rule, event, data, where)
    due = calendar.due_of(rule, anchor)
    if not lately[0] <= due <= lately[1]:
        return
    row = ScheduledFiring(
        anchor_event_id=event.pk,
        zone=anchor.zone,
        due_at=due,
        anchor_at=anchor.at,
        is_date=anchor.is_date,
        **where,
    )
    material = of_schedule(row, rule, scope.family(where["kind"], where["external_id"]))
    facts = Facts(
        kind=where["kind"], before=None, after=data, today=due.date(), load_parents=lambda: material.states
    )
    if judge(rule.conditions, facts, match_all=rule.row.match_all).is_met:
        tally.add(_occasion(row, material, f"event {event.pk}", f"Due at {due:%Y-%m-%d %H:%M} UTC."), due)


def _silent(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Spells that go on now and became too long lately; spells that ended are not stored."""
    rule, now, looked = tally.rule, timezone.now(), 0
    for batch in silent_ones.batches(rule, now):
        for silent, row in dormancy.due(rule, batch, now):
            began = (
                dormancy.silent_since(silent, row) + dormancy.days_allowed(rule, row.state) * silent_ones.DAY
            )
            facts = dormancy.facts_of(row, now)
            if began >= since and judge(rule.conditions, facts, match_all=rule.row.match_all).is_met:
                tally.add(dormancy.occasion(rule, silent, row, now, facts), began)
        looked += len(batch)
        yield looked, looked


def _occasion(row: ScheduledFiring, material: Material, tier: str, detail: str) -> Occasion:
    return Occasion(
        kind=row.kind, external_id=row.external_id, account=row.account, source=Event.Source.SCHEDULE, tier=tier,
        period=row.period, material=lambda: material, detail=detail,
    )  # fmt: skip
