"""Finding deliveries by when they were made, without an index on the time.

Deliveries are made one pass after the other, so their ids grow with their times, but for the moments that a
pass may wait for its turn.
"""

from datetime import datetime, timedelta

from django.db.models import Q

from .models import Delivery

# Longer than any pass waits.
SLACK = timedelta(minutes=10)


def made_between(after: datetime | None, before: datetime | None) -> Q:
    """Return the condition for deliveries made from `after` on and earlier than `before`."""
    found = Q()
    if after is not None:
        found &= Q(created_at__gte=after, pk__gte=_first_since(after - SLACK))
    if before is not None:
        found &= Q(created_at__lt=before, pk__lt=_first_since(before + SLACK))
    return found


def _first_since(moment: datetime) -> int:
    """Return the lowest id whose delivery was made since then; one more than the last if none was."""
    newest = Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    low, high = 0, newest + 1
    while low < high:
        middle = (low + high) // 2
        rows = Delivery.objects.filter(pk__gte=middle, pk__lt=high).order_by("pk")
        row = rows.values_list("pk", "created_at").first()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return low
