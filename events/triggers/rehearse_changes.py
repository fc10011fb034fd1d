"""What rules about changes and thresholds would have done with the stored changes."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Max, Min

from events.models import BillingObject, Change, Trigger

from . import change, threshold
from .change import Seen
from .conditions import judge
from .fire import Occasion
from .rules import Rule
from .tally import Tally

BATCH = 500


def rehearse(tally: Tally, since: datetime) -> Iterator[tuple[int, int]]:
    """Look at each change of the kind; yield how many so far, and of how many about."""
    rule = tally.rule
    _note_what_is_gone(tally, since)
    rows = Change.objects.filter(
        kind=rule.row.object_kind, reported_at__gte=since, folded_at__isnull=False
    ).exclude(error__gt="")
    bounds = rows.aggregate(first=Min("id"), last=Max("id"))
    first, last, looked = bounds["first"] or 0, bounds["last"] or 0, 0
    after = first - 1
    while batch := list(rows.filter(id__gt=after).order_by("id")[:BATCH]):
        for each in batch:
            with tally.sparing_others():
                for occasion in _occasions(rule, Seen(change=each, now=each.reported_at)):
                    tally.add(occasion, each.occurred_at)
        after, looked = batch[-1].pk, looked + len(batch)
        # Ids of other kinds lie between: about as many as are left, by how far it came.
        done = max(after - first + 1, 1)
        yield looked, looked * (last - first + 1) // done


def _note_what_is_gone(tally: Tally, since: datetime) -> None:
    begins = tally.past.begins
    oldest = BillingObject.objects.order_by("pk").first()
    if since < begins and oldest is not None and oldest.created_at < begins:
        tally.notes.append(
            f"Changes are kept since {begins:%Y-%m-%d}: what was reported before is not looked at."
        )


def _occasions(rule: Rule, seen: Seen) -> list[Occasion]:
    if rule.row.source == Trigger.Source.CHANGE:
        verdict = change.verdict_on(rule, seen)
        return [change.occasion(rule, seen)] if verdict and verdict.is_met else []
    if seen.change.after is None or not (crossed := threshold.crossed_by(rule, seen.change)):
        return []
    if not judge(rule.conditions, seen.facts, match_all=rule.row.match_all).is_met:
        return []
    return [threshold.occasion(seen, each) for each in crossed]
