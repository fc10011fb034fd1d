"""Stopping and resuming mail to an address, each with a record of who, when and why."""

from django.db import transaction
from django.utils import timezone

from . import audit
from .models import Delivery, Suppression
from .withdraw import System, withdraw


@transaction.atomic
def suppress(
    address: str,
    *,
    reason: Suppression.Reason,
    detail: str = "",
    delivery: Delivery | None = None,
    said_by: str = "",
    actor: audit.Actor | None = None,
) -> bool:
    """Mail this address no more, and take back what waits for it. False: it was suppressed already."""
    row, is_new = Suppression.objects.get_or_create(
        address=address.strip().lower(),
        released_at=None,
        defaults={
            "reason": reason,
            "detail": detail[:2000],
            "delivery": delivery,
            "said_by": said_by[:200],
        },
    )
    if is_new:
        follow(row, actor)
    return is_new


def follow(row: Suppression, actor: audit.Actor | None = None) -> None:
    """Do what a new suppression asks for: take back what waits, and write down who did it."""
    row.created_by = audit.name_of(actor or System())
    row.save(update_fields=["created_by"])
    label = Suppression.Reason(row.reason).label
    # Mails keep their recipient as it was written.
    written = row.delivery.recipient if row.delivery else row.address
    withdraw(row.address, written, why=f"The address is suppressed: {label}.")
    audit.record(actor or System(), "suppression.create", [row.address], row.detail or label)


@transaction.atomic
def release(row_ids: list[int], actor: audit.Actor, reason: str = "") -> int:
    """Mail these addresses again; return how many were suppressed until now."""
    rows = list(
        Suppression.objects.select_for_update().filter(pk__in=row_ids, released_at=None).order_by("pk")
    )
    audit.record(actor, "suppression.release", [row.address for row in rows], reason)
    name = audit.name_of(actor)
    for row in rows:
        row.released_at, row.released_by = timezone.now(), name
    Suppression.objects.bulk_update(rows, ["released_at", "released_by"])
    return len(rows)
