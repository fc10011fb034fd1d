"""Remove what retention no longer keeps, a batch at a time: ledger, counts, settled calendar, back-tests."""

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from events.models import BackTest, LedgerEntry, ScheduledFiring, TriggerDay

from .ledger import Outcome

BATCH = 5_000
# Why something did not happen is asked soon or never, and there is much of it.
NOT_MET_DAYS = 14


def prune() -> int:
    """Remove the old rows; return how many."""
    now, kept = timezone.now(), timedelta(days=settings.TRIGGER_LEDGER_DAYS)
    brief = timedelta(days=min(NOT_MET_DAYS, settings.TRIGGER_LEDGER_DAYS))
    removed = _remove(LedgerEntry.objects.filter(at__lt=now - kept))
    removed += _remove(LedgerEntry.objects.filter(at__lt=now - brief, outcome=Outcome.NOT_MET))
    removed += _remove(ScheduledFiring.objects.filter(settled_at__lt=now - kept))
    removed += TriggerDay.objects.filter(day__lt=(now - 2 * kept).date()).delete()[0]
    return removed + BackTest.objects.filter(created_at__lt=now - kept).delete()[0]


def _remove(rows: QuerySet[LedgerEntry] | QuerySet[ScheduledFiring]) -> int:
    removed = 0
    while number := rows.filter(pk__in=list(rows.order_by().values_list("pk", flat=True)[:BATCH])).delete()[
        0
    ]:
        removed += number
    return removed
