"""Look at what was committed: changes and events in their order, and what has fallen due.

1. One evaluator at a time, by an advisory lock that a transaction holds for one batch: rules fire in the order
   of the changes. Whoever comes second waits for the batch to end, and then finds what is left.
2. Marking a change as looked at, firing, publishing and the ledger are one transaction. A process that dies
   leaves the batch as it was.
3. A rule that raises is rolled back to its savepoint and noted; the other rules and the change go on.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from django.db import connection, transaction
from django.utils import timezone

from events.fold import fold
from events.models import AnchorEntry, Change, ScheduledFiring, Trigger

from . import change, recover, threshold
from .anchors import look_at_events
from .calendar import plan_for
from .change import Seen
from .guard import guarded
from .ledger import Ledger
from .rules import Rule, active
from .settle import recompute, settle_due

BATCH = 200
Source = Trigger.Source
_LOOKS: dict[str, Callable[[Rule, Seen, Ledger], None]] = {
    Source.CHANGE: change.look,
    Source.THRESHOLD: threshold.look,
    Source.DATE: plan_for,
    Source.COMMITMENT: plan_for,
}


def evaluate_inbox(*, budget: float = 20.0) -> int:
    """Look at everything that waits, for at most `budget` seconds; return how many changes and events it was.

    Any number of these may run at once.
    """
    ends, looked = time.monotonic() + budget, 0
    while time.monotonic() < ends:
        found = (
            fold() + look_at_changes() + _exclusively(look_at_events) + _exclusively(recompute) + settle_due()
        )
        if not found:
            break
        looked += found
    return looked


def look_at_changes(*, most: int = BATCH) -> int:
    """Have the rules look at the next changes; return how many there were."""
    with transaction.atomic():
        lock()
        changes = list(
            Change.objects.select_for_update(no_key=True)
            .filter(evaluated_at__isnull=True, folded_at__isnull=False)
            .order_by("id")[:most]
        )
        if not changes:
            return 0
        rules, ledger, now = _by_kind(), Ledger(), timezone.now()
        for each in changes:
            seen = Seen(change=each, now=now)
            for rule in rules[each.kind]:
                guarded(rule, ledger, seen.where, partial(_look, rule, seen, ledger))
            recover.look_again(rules[each.kind], seen, ledger)
        oldest = min(each.reported_at for each in changes)
        Change.objects.filter(
            id__in=[each.pk for each in changes], reported_at__gte=oldest, evaluated_at__isnull=True
        ).update(evaluated_at=now)
        ledger.flush()
    return len(changes)


def waits() -> bool:
    """Whether there is something to look at now."""
    return (
        Change.objects.filter(evaluated_at__isnull=True).exists()
        or AnchorEntry.objects.exists()
        or ScheduledFiring.objects.filter(
            status=ScheduledFiring.Status.PENDING, due_at__lte=timezone.now(), trigger__is_active=True
        ).exists()
    )


def lock() -> None:
    """Wait for the other evaluators; held to the end of the transaction."""
    with connection.cursor() as cursor:
        # A statement of its own, so that the next one sees what the one before committed.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('bellwether.triggers'))")


def _look(rule: Rule, seen: Seen, ledger: Ledger) -> None:
    _LOOKS[rule.row.source](rule, seen, ledger)


def _exclusively(look: Callable[[], int]) -> int:
    with transaction.atomic():
        lock()
        return look()


def _by_kind() -> dict[str, list[Rule]]:
    rules = defaultdict(list)
    for rule in active(_LOOKS):
        rules[rule.row.object_kind].append(rule)
    return rules
