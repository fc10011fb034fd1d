"""Which deliveries a caller may see, and the one that a path names."""

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import generics
from rest_framework.request import Request

from events import ids
from events.visibility import confined_to
from notifications.models import Delivery


def visible_deliveries(request: Request | None) -> QuerySet[Delivery]:
    """Return the deliveries that the caller may see: for a subscriber's key, those of its own subscriptions."""
    every = Delivery.objects.select_related("event__type", "subscription", "collected__digest__delivery")
    subscriber = confined_to(request)
    return every if subscriber is None else every.filter(subscription__subscriber=subscriber)


def delivery_of(request: Request, public_id: str) -> Delivery:
    """Return the delivery of a public id, or a 404."""
    uid = ids.parse("dlv", public_id)
    if uid is None:
        raise Http404
    return generics.get_object_or_404(visible_deliveries(request), uid=uid)
