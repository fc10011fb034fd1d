"""Saving sample rows as the admin would: checked in full, and never twice."""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.contrib.auth.models import Group, User
from django.db import models

from events.models import EventType
from notifications import vet
from notifications.models import Filter, Parameter, Recipient, Subscription

M = TypeVar("M", bound=models.Model)


def ensure(model: type[M], defaults: dict[str, Any] | None = None, **lookup: Any) -> M:
    """Return the row that is there, as somebody may have edited it since, or save a new one."""
    row = model._default_manager.filter(**lookup).first()
    if row is None:
        row = model(**lookup, **(defaults or {}))
        row.full_clean()
        row.save()
    return row


def ensure_user(username: str, *, group: str = "") -> User:
    """Return a person who gets mail and cannot sign in."""
    user = User.objects.filter(username=username).first()
    if user is None:
        user = User(username=username, email=f"{username}@example.com")
        user.set_unusable_password()
        user.full_clean()
        user.save()
        if group:
            user.groups.add(ensure(Group, name=group))
    return user


def ensure_subscription(
    subscription: Subscription,
    *,
    event_types: Iterable[EventType] = (),
    parameters: Iterable[Parameter] = (),
    filters: Iterable[Filter] = (),
    recipients: Iterable[Recipient] = (),
) -> Subscription:
    """Return the subscription of that subscriber and name, or save it with all of its parts."""
    known = Subscription.objects.filter(subscriber=subscription.subscriber, name=subscription.name).first()
    if known is not None:
        return known
    types, parts = list(event_types), (list(parameters), list(filters), list(recipients))
    subscription.full_clean()
    vet.check_subscription(
        subscription, event_types=types, parameters=parts[0], filters=parts[1], recipients=parts[2]
    )
    subscription.save()
    subscription.event_types.set(types)
    for rows in parts:
        for row in rows:
            row.subscription = subscription
            row.full_clean()
            row.save()
    return subscription
