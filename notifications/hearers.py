"""Telling triggers below when nobody would hear of their event."""

from typing import Any

from django.db.models import Q
from django.dispatch import receiver

from events.signals import hearers_asked

from .models import Subscription

_NAMED = 3
_OPEN = Q(
    Q(endpoint=None) | Q(endpoint__is_active=True),
    is_active=True,
    is_paused=False,
    subscriber__is_active=True,
    queue__is_paused=False,
)


@receiver(hearers_asked)
def tell_silence(event_type_id: int, **_: Any) -> str:
    """Return in a sentence that all subscriptions to an event type are inactive or paused; else nothing."""
    subscriptions = Subscription.objects.filter(
        Q(event_types=None) | Q(event_types=event_type_id), queue__routes__event_type=event_type_id
    )
    if subscriptions.filter(_OPEN).exists():
        return ""
    names = list(subscriptions.order_by("name").values_list("name", flat=True).distinct()[: _NAMED + 1])
    if not names:
        return ""
    more = " and others" if len(names) > _NAMED else ""
    return f"Every subscription to it is inactive or paused: {', '.join(names[:_NAMED])}{more}."
