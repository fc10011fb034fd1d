"""What a caller may see: an operator's key and a person see all, another key what its subscriber has to do with."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from .models import ApiKey, Event


def confined_to(request: Request | None) -> int | None:
    """Return the subscriber whose rows alone the caller sees; None: every subscriber's."""
    key: Any = request.auth if request is not None else None
    return key.subscriber_id if isinstance(key, ApiKey) and not key.is_operator else None


def visible_events(events: QuerySet[Event], request: Request | None) -> QuerySet[Event]:
    """Of these, the events that the caller may read: for a subscriber's key, those that it published."""
    subscriber = confined_to(request)
    return events if subscriber is None else events.filter(publisher=subscriber)


def operators_only(request: Request, what: str) -> None:
    """Raise PermissionDenied for a subscriber's key: `what` belongs to no one subscriber."""
    if confined_to(request) is not None:
        raise PermissionDenied(f"{what} belong to no one subscriber: this takes an operator's key.")
