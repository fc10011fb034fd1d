"""Move or cancel by hand what waits in the calendar: what is reported later does not undo it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from events import changes, moments
from events.models import ScheduledFiring

from .ledger import Ledger, Outcome
from .scope import zone_for

Status = ScheduledFiring.Status
FARTHEST = timedelta(days=3652)


def check(due_at: datetime) -> None:
    """Raise a ValidationError unless it can be moved there."""
    latest = timezone.now() + FARTHEST
    if not moments.is_storable(due_at) or due_at > latest:
        raise ValidationError(
            f"Give a time until {latest:%Y-%m-%d}, ten years from now. To have it never fire, cancel it."
        )


@transaction.atomic
def move(pk: int, due_at: datetime) -> bool:
    """Have it fire at another time; False if it does not wait any more."""
    waiting = ScheduledFiring.objects.filter(pk=pk, status=Status.PENDING)
    moved = bool(waiting.update(due_at=due_at, is_by_hand=True))
    if moved:
        changes.after_commit(1)
    return moved


@transaction.atomic
def cancel(ids: Sequence[int], who: str, reason: str = "") -> list[int]:
    """Have those that wait not fire, and note it in the ledger; return which they were."""
    rows = list(ScheduledFiring.objects.select_for_update().filter(pk__in=ids, status=Status.PENDING))
    told = f"Cancelled by {who}{f': {reason}' if reason else '.'}"[:300]
    ledger = Ledger()
    for row in rows:
        row.status, row.reason, row.is_by_hand, row.settled_at = Status.CANCELLED, told, True, timezone.now()
        row.save(update_fields=["status", "reason", "is_by_hand", "settled_at"])
        ledger.note(
            row.trigger_id, Outcome.CANCELLED, detail=told, kind=row.kind, external_id=row.external_id,
            account=row.account, period=row.period,
        )  # fmt: skip
    ledger.flush()
    return [row.pk for row in rows]


def zone(row: ScheduledFiring) -> ZoneInfo:
    """Return the zone in which it counts."""
    return zone_for(row.zone, {})
