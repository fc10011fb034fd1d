"""Whether anything of an event was sent, or may have been."""

from django.db.models import Exists, F, OuterRef

from events.models import Event
from events.refusals import StateConflict

from . import membership
from .grip import Grip
from .models import Attempt, Delivery, PullCursor

# How many of them a refusal names.
NAMED = 20
_UNSENT = {*Delivery.UNFINISHED, "cancelled", "skipped", "suppressed"}


def sent(rows: list[Delivery], grip: Grip) -> dict[int, str]:
    """Return how each delivery that was, or may have been, sent got there, by primary key."""
    ids = [row.pk for row in rows]
    tried = set(Attempt.objects.filter(delivery__in=ids).values_list("delivery_id", flat=True))
    cursors = PullCursor.objects.filter(
        subscriber=OuterRef("subscription__subscriber"),
        queue=OuterRef("subscription__queue"),
        handed_out__gte=OuterRef("pk"),
    )
    webhooks = Delivery.objects.filter(pk__in=ids, subscription__endpoint__isnull=False)
    pulled = set(webhooks.filter(Exists(cursors)).values_list(F("pk"), flat=True))
    bound = membership.bound([row.pk for row in rows if row.hold_cause == Delivery.HoldCause.COLLECTED])
    found: dict[int, str] = {}
    for row in rows:
        if row.pk in grip.may_be_sent:
            found[row.pk] = "in flight"
        elif row.pk in bound:
            found[row.pk] = f"goes out in the digest {bound[row.pk]}"
        elif row.status not in _UNSENT or row.pk in tried or row.attempt_count:
            found[row.pk] = row.status
        elif row.pk in pulled and row.status != "suppressed":
            found[row.pk] = "read from the queue"
    return found


def refuse_sent(event: Event, rows: list[Delivery], grip: Grip) -> None:
    """Raise StateConflict if anything was sent, naming what."""
    if not (found := sent(rows, grip)):
        return
    named = [
        {"id": row.public_id, "subscription": row.subscription_id, "state": found[row.pk]}
        for row in rows
        if row.pk in found
    ]
    told = ", ".join(f"{each['id']} ({each['state']})" for each in named[:3])
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    raise StateConflict(
        f"{event.public_id} can be changed while nothing of it was sent, but this was, or may have been: "
        f"{told}{more}. Publish a correction as an event of its own; what waits of it can be cancelled.",
        sent=named[:NAMED],
        sent_count=len(named),
    )
