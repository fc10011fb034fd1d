"""Taking back what waits to be mailed to an address that is not to be mailed any more."""

from django.contrib.auth.models import AnonymousUser

from . import operate
from .models import Delivery


class System(AnonymousUser):
    """Who did what no person asked for."""

    def __str__(self) -> str:
        """As the audit log names it."""
        return "Bellwether"


def withdraw(address: str, *, why: str, subscription_id: int | None = None) -> int:
    """Cancel what waits for this address, with the reason; return how much that was.

    What is in flight goes; what comes later is stopped by fan-out.
    """
    waiting = Delivery.objects.filter(
        recipient__in={address, address.lower()}, status__in=Delivery.UNFINISHED
    )
    if subscription_id is not None:
        waiting = waiting.filter(subscription_id=subscription_id)
    ids = list(waiting.order_by("-id").values_list("pk", flat=True)[: operate.LIMIT])
    report = operate.cancel(ids, System(), why)
    Delivery.objects.filter(pk__in=ids, status=Delivery.Status.CANCELLED).update(last_error=why)
    return report.done
