"""Taking back what waits to be mailed to an address that is not to be mailed any more."""

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Q

from . import operate
from .grip import Grip
from .models import Delivery


class System(AnonymousUser):
    """Who did what no person asked for."""

    def __str__(self) -> str:
        """As the audit log names it."""
        return "Bellwether"


@transaction.atomic
def withdraw(*addresses: str, why: str, subscription_id: int | None = None) -> int:
    """Cancel all that waits for these addresses, with the reason; return how much that was.

    What is in flight goes; what comes later is stopped by fan-out. Within one subscription an address is found in
    any spelling; over all of them only as given and in small letters, as the index has it.
    """
    if subscription_id is None:
        spelled = Q(recipient__in={*addresses, *map(str.lower, addresses)})
    else:
        spelled = Q(subscription_id=subscription_id) & Q(
            *(Q(recipient__iexact=address) for address in addresses), _connector=Q.OR
        )
    waiting = Delivery.objects.filter(spelled, status__in=Delivery.UNFINISHED)
    ids = list(waiting.order_by("pk").values_list("pk", flat=True))
    # A batch locks deliveries; the next one's channels and lanes have to be locked before them.
    Grip.of(ids)
    done = 0
    for start in range(0, len(ids), operate.LIMIT):
        batch = ids[start : start + operate.LIMIT]
        done += operate.cancel(batch, System(), why).done
        Delivery.objects.filter(pk__in=batch, status=Delivery.Status.CANCELLED).update(last_error=why)
    return done
