"""What rules about dates and commitments would have done: each object through the states that it had."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db.models import Q
from django.utils import timezone

from events import payload
from events.models import BillingObject, Change, Event, ScheduledFiring, Trigger

from . import calendar, scope
from .conditions import Facts, judge
from .fire import Occasion
from .material import commitment_shortfalls, of_date
from .past import SeenThen
from .tally import Tally
from .values import moment

BATCH = 500


@dataclass(frozen=True, kw_only=True)
class _Spell:
    """How long an object was as it was. `following` is what it was then; None: nothing, or no more."""

    state: dict[str, Any] | None
    start: datetime
    end: datetime
    is_reported: bool  # it began with a report; else it was so before
    following: dict[str, Any] | None = None


def rehearse(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Look at each object, with what it was since then; yield how many so far."""
    now, after, looked, kind = timezone.now(), 0, 0, tally.rule.row.object_kind
    rows = BillingObject.objects.filter(
        Q(deleted_at=None) | Q(deleted_at__gte=since), kind=kind, reported_at__isnull=False
    )
    while batch := list(rows.filter(pk__gt=after).order_by("pk")[:BATCH]):
        waiting = {row.external_id: row for row in batch}
        changes = Change.objects.filter(
            kind=kind, external_id__in=waiting, reported_at__gte=since, folded_at__isnull=False, error=""
        ).order_by("external_id", "id")
        for external_id, group in groupby(changes.iterator(BATCH), attrgetter("external_id")):
            row = waiting.pop(external_id)
            for spell in _spells(list(group), since, now):
                with tally.sparing_others():
                    _look(tally, row, spell, since, now)
        for row in waiting.values():
            if row.deleted_at is None:
                spell = _Spell(state=row.state, start=since, end=now, is_reported=False)
                with tally.sparing_others():
                    _look(tally, row, spell, since, now)
        after, looked = batch[-1].pk, looked + len(batch)
        yield looked, looked


def _spells(changes: list[Change], since: datetime, now: datetime) -> Iterator[_Spell]:
    starts = [since, *(each.reported_at for each in changes), now]
    states = [changes[0].before, *(each.after for each in changes), None]
    for at, state in enumerate(states[:-1]):
        yield _Spell(
            state=state, start=starts[at], end=starts[at + 1], is_reported=at > 0, following=states[at + 1]
        )


def _look(tally: Tally, row: BillingObject, spell: _Spell, since: datetime, now: datetime) -> None:
    rule, past = tally.rule, tally.past
    if spell.state is None or moment(payload.lookup(spell.state, rule.row.date_path)) is None:
        return
    change = Change(
        kind=row.kind, external_id=row.external_id, operation="update", after=spell.state, occurred_at=spell.start
    )  # fmt: skip
    family = partial(past.family, row.kind, row.external_id, spell.start)
    seen = SeenThen(change=change, now=spell.start, family=family)
    anchor = calendar.anchor_of(rule, change, seen)
    if anchor is None or (due := calendar.due_of(rule, anchor)) < since:
        return
    at = _fires_at(rule.row, spell, due)
    if at is None or at > now:
        return
    # What is reported while its conditions are not true is not entered at all.
    if spell.is_reported and not judge(rule.conditions, seen.facts, match_all=rule.row.match_all).is_met:
        return
    past.is_guess(row, at)
    then = SeenThen(change=change, now=at, family=partial(past.family, row.kind, row.external_id, at))
    today = scope.today_in(scope.zone_for(anchor.zone, {}), at)
    facts = Facts(
        kind=row.kind, before=None, after=then.facts.after, today=today, load_parents=lambda: then.states
    )
    if judge(rule.conditions, facts, match_all=rule.row.match_all).is_met:
        _add(tally, anchor, (due, at), then)


def _fires_at(rule: Trigger, spell: _Spell, due: datetime) -> datetime | None:
    """Return when it fired: at its time, or late where it was reported after it; None if another state came first."""
    at = max(due, spell.start)
    if at < spell.end or (at == spell.end and spell.following is None):
        return at
    if not rule.period_path or spell.following is None:
        return None
    if _period(rule, spell.following) in {_period(rule, spell.state), None}:
        return None
    # A period that a later one replaced: a commitment closes with it, a date keeps its day.
    return spell.end if rule.source == Trigger.Source.COMMITMENT else at


def _period(rule: Trigger, state: dict[str, Any] | None) -> Any:
    return payload.lookup(state or {}, rule.period_path)


def _add(tally: Tally, anchor: calendar.Anchor, times: tuple[datetime, datetime], then: SeenThen) -> None:
    rule, (due, at) = tally.rule, times
    row = ScheduledFiring(
        kind=anchor.kind, external_id=anchor.external_id, account=anchor.account, zone=anchor.zone, due_at=due,
        anchor_at=anchor.at, is_date=anchor.is_date, period=anchor.period,
    )  # fmt: skip
    today = scope.today_in(scope.zone_for(anchor.zone, {}), at)
    is_commitment = rule.row.source == Trigger.Source.COMMITMENT
    make = partial(of_date, row, then.states, today, at=at)
    tiers = commitment_shortfalls(rule, make()) if is_commitment else []
    told = f"Due at {due:%Y-%m-%d %H:%M} UTC."
    for tier, material in (
        [(tier, partial(_same, each)) for tier, each in tiers] if is_commitment else [("", make)]
    ):
        occasion = Occasion(
            kind=anchor.kind, external_id=anchor.external_id, account=anchor.account, source=Event.Source.SCHEDULE,
            tier=tier, period=anchor.period, material=material, detail=told,
        )  # fmt: skip
        tally.add(occasion, at)


def _same(value: Any) -> Any:
    return value
