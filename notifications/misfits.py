"""Checking saved rows again when the tokens of their event types change, by what checks them as they are saved."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from events.models import EventType

from . import vet, vet_mail
from .models import EmailTemplate, Misfit, Subscription

Row = Subscription | EmailTemplate
_PARTS = ("parameters", "filters", "recipients", "event_types")


def find(event_types: Collection[EventType]) -> dict[Row, list[str]]:
    """Return the rows concerned that do not fit, each with what is wrong."""
    return {row: faults for row in _concerned(event_types) if (faults := faults_of(row))}


def faults_of(row: Row) -> list[str]:
    """Return why a saved row would be refused; nothing if it fits."""
    try:
        if isinstance(row, EmailTemplate):
            vet_mail.check_template(row, event_types=row.event_types.all(), variants=list(row.variants.all()))
        else:
            vet.check_subscription(
                row,
                event_types=row.event_types.all(),
                parameters=row.parameters.all(),
                filters=row.filters.all(),
                recipients=row.recipients.all(),
            )
    except ValidationError as error:
        return list(dict.fromkeys(error.messages))
    return []


def recheck(event_types: Collection[EventType]) -> int:
    """Note which of the rows concerned need attention, and which no longer do; return how many do."""
    return sum(note(row) for row in _concerned(event_types))


def recheck_all() -> int:
    """Do so for every row."""
    return recheck(list(EventType.objects.all()))


@transaction.atomic
def note(row: Row) -> bool:
    """Note whether a row needs attention, and return it."""
    faults = faults_of(row)
    key: dict[str, Any] = {"email_template" if isinstance(row, EmailTemplate) else "subscription": row}
    if faults:
        Misfit.objects.update_or_create(**key, defaults={"told": "\n".join(faults)})
    else:
        Misfit.objects.filter(**key).delete()
    return bool(faults)


def told(found: dict[Row, list[str]], *, most: int = 20) -> Iterator[str]:
    """Yield a sentence for each row and fault."""
    lines = [f"{kind(row)} “{row}”: {fault}" for row, faults in found.items() for fault in faults]
    yield from lines[:most]
    if len(lines) > most:
        yield f"And {len(lines) - most} more."


def kind(row: Row) -> str:
    """Return what a row is, for a sentence."""
    return "The email template" if isinstance(row, EmailTemplate) else "The subscription"


def _concerned(event_types: Collection[EventType]) -> Iterator[Row]:
    subscriptions = Subscription.objects.filter(
        Q(event_types__in=event_types) | Q(event_types=None, queue__routes__event_type__in=event_types)
    )
    related = subscriptions.select_related("queue", "endpoint", "email_template__layout")
    yield from _once(related.order_by("name", "pk").prefetch_related(*_PARTS))
    templates = EmailTemplate.objects.filter(event_types__in=event_types).select_related("layout")
    yield from _once(templates.order_by("name", "pk").prefetch_related("variants", "event_types"))


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    yield from dict.fromkeys(rows)
