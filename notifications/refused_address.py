"""Mailing an address no more of which its mail server has said, refusing it, that it does not exist.

Comes after settling: should the process die in between, the next mail to it is refused as well.
"""

from collections.abc import Iterable

from django.db import OperationalError, transaction
from psycopg.errors import DeadlockDetected

from smtpprofiles.models import SmtpProfile

from .gone import reply_is_gone
from .models import Delivery, Suppression
from .settle import Result
from .suppress import suppress
from .transports.base import Verdict


def follow(results: Iterable[Result]) -> None:
    """Suppress the addresses among these that do not exist, where their SMTP profile says so."""
    for result in results:
        outcome = result.outcome
        if outcome is None or outcome.verdict is not Verdict.REJECTED or not result.claimed.recipient:
            continue
        if reply_is_gone(outcome.status_code, outcome.detail):
            _in_turn(result.claimed.id, result.claimed.channel_id, outcome.detail)


def _in_turn(delivery_id: int, channel_id: int, said: str) -> None:
    """Do it; again, where another worker that locks the same channels made PostgreSQL break off."""
    for last in (False, False, True):
        try:
            _suppress(delivery_id, channel_id, said)
        except OperationalError as error:
            if last or not isinstance(error.__cause__, DeadlockDetected):
                raise
        else:
            return


@transaction.atomic
def _suppress(delivery_id: int, channel_id: int, said: str) -> None:
    profiles = SmtpProfile.objects.filter(channels=channel_id, suppresses_bounces=True)
    name = profiles.values_list("name", flat=True).first()
    delivery = Delivery.objects.filter(pk=delivery_id).first()
    if name is not None and delivery is not None:
        suppress(
            delivery.recipient,
            reason=Suppression.Reason.BOUNCED,
            detail=said,
            delivery=delivery,
            said_by=f"The mail server of {name}, refusing it",
        )
        # Held in its lane it was cancelled with what waited behind it; but it was tried, and this is its end.
        Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.CANCELLED).update(
            status=Delivery.Status.DEAD, last_error=said
        )
