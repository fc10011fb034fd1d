"""Whether a queue is in order changes only while nothing of it waits."""

from django.db.models import Exists, OuterRef

from events.models import Queue
from events.refusals import StateConflict

from .models import Delivery, Subscription


def waiting_in(queue: Queue) -> list[str]:
    """Return the names of the subscriptions of this queue that something waits for, of at most five."""
    waits = Delivery.objects.filter(subscription=OuterRef("pk"), status__in=Delivery.UNFINISHED)
    found = Subscription.objects.filter(Exists(waits), queue=queue).order_by("name")
    return list(found.values_list("name", flat=True)[:5])


def refuse_reordering(queue: Queue) -> None:
    """Raise StateConflict while deliveries wait: they would mix with those under the other rule."""
    if names := waiting_in(queue):
        raise StateConflict(
            f"Deliveries wait for {', '.join(names)}. What waits in order would go beside what comes out of order. "
            f"Pause what publishes into {queue}, let them arrive (or cancel them), and change it then; or route the "
            "event types into a new queue.",
            subscriptions=names,
        )
