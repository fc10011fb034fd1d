"""Enter into the calendar what was there before a rule about dates was activated."""

import time
from functools import partial

from django.db import transaction
from django.utils import timezone

from events.models import BillingObject, Change, Operation, Trigger

from .calendar import plan_for
from .change import Seen
from .guard import guarded
from .ledger import Ledger
from .rules import Rule, read

Source = Trigger.Source
BATCH = 500
_OF_DATES = (Source.DATE, Source.COMMITMENT)


def waits() -> bool:
    """Whether a rule about dates was activated and has not been prepared."""
    return Trigger.objects.filter(is_active=True, source__in=_OF_DATES, prepared_at=None).exists()


def prepare(*, budget: float) -> int:
    """Look at the objects of each rule that has not been prepared; return how many were looked at.

    Begun anew if the budget ends before them: what is in the calendar already stays as it is.
    """
    ends, looked = time.monotonic() + budget, 0
    for rule in read(Trigger.objects.filter(is_active=True, source__in=_OF_DATES, prepared_at=None)):
        after = rule.row.prepared_through
        while time.monotonic() < ends:
            number, after = _batch(rule, after)
            looked += number
            if number < BATCH:
                Trigger.objects.filter(pk=rule.id).update(prepared_at=timezone.now())
                break
    return looked


@transaction.atomic
def _batch(rule: Rule, after: int) -> tuple[int, int]:
    rows = list(
        BillingObject.objects.filter(
            kind=rule.row.object_kind, pk__gt=after, deleted_at=None, reported_at__isnull=False
        ).order_by("pk")[:BATCH]
    )
    ledger, now = Ledger(), timezone.now()
    for row in rows:
        change = Change(
            kind=row.kind, external_id=row.external_id, operation=Operation.CREATE, before=None, after=row.state,
            occurred_at=row.reported_at or now,
        )  # fmt: skip
        seen = Seen(change=change, now=now)
        guarded(rule, ledger, seen.where, partial(plan_for, rule, seen, ledger))
    ledger.flush()
    last = rows[-1].pk if rows else after
    Trigger.objects.filter(pk=rule.id).update(prepared_through=last)
    return len(rows), last
