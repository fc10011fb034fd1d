"""What rules about absence would have done: the spells that go on, with each object as it was when one was too long."""

from collections.abc import Iterator
from copy import copy
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from events.models import BillingObject

from . import dormancy, silent
from .conditions import Facts, judge
from .rules import Rule
from .silent import DAY, Silent
from .tally import Tally

_ENDED = (
    "Of activity only the last time of each object is kept: spells that ended since are not counted, "
    "those that go on are."
)


def rehearse(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Look at what is silent now, and when that became too long; yield how many so far."""
    rule, now, looked = tally.rule, timezone.now(), 0
    tally.notes.append(_ENDED)
    for batch in silent.batches(rule, now):
        known = {each.external_id: each for each in batch}
        rows = BillingObject.objects.filter(
            Q(deleted_at=None) | Q(deleted_at__gte=since),
            kind=rule.row.object_kind,
            external_id__in=known,
            reported_at__isnull=False,
        )
        for row in rows:
            with tally.sparing_others():
                if since <= _began(rule, known[row.external_id], row) <= now:
                    _look(tally, known[row.external_id], row, (since, now))
        looked += len(batch)
        yield looked, looked


def _began(rule: Rule, one: Silent, row: BillingObject) -> datetime:
    return dormancy.silent_since(one, row) + dormancy.days_allowed(rule, row.state) * DAY


def _look(tally: Tally, one: Silent, row: BillingObject, window: tuple[datetime, datetime]) -> None:
    rule, now = tally.rule, window[1]
    at = max(_began(rule, one, row), row.created_at)
    states = tally.past.family(row.kind, row.external_id, at)
    if len(states.get(row.kind, {})) < 2:
        # Reported only later: the scan after that finds it.
        states = tally.past.family(row.kind, row.external_id, now)
    if row.kind not in states:
        return  # deleted by then
    then = copy(row)
    then.state = states[row.kind]
    # Its plan may have been another, and with it the days.
    began = _began(rule, one, then)
    if not window[0] <= began <= window[1]:
        return
    facts = Facts(
        kind=row.kind, before=None, after=then.state, today=began.date(), load_parents=lambda: states
    )
    if judge(rule.conditions, facts, match_all=rule.row.match_all).is_met:
        tally.add(dormancy.occasion(rule, one, then, began, facts), began)
