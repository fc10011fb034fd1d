"""What the delivery log can be narrowed down to."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from events import ids
from events.models import Queue
from notifications.models import Channel, Delivery, Subscription
from notifications.models.delivery import FOR_A_PERSON

IN_FLIGHT = "in_flight"
PERSON = "person"
COLLECTED = "collected"
MOST_CHOICES = 100


class StatusFilter(admin.SimpleListFilter):
    """By status; what is in flight is known from the channels."""

    title = "status"
    parameter_name = "status"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The statuses, in flight, and what waits for whom."""
        first = [(IN_FLIGHT, "In flight"), (PERSON, "Held for a person")]
        statuses = [(each.value, each.label) for each in Delivery.Status]
        return [*first, *statuses, (COLLECTED, "Collected")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """The deliveries of the chosen one."""
        if self.value() == IN_FLIGHT:
            listed = Channel.objects.filter(leased_until__gt=Now()).values_list("in_flight", flat=True)
            return queryset.filter(pk__in=[pk for ids in listed for pk in ids])
        if self.value() == PERSON:
            return queryset.filter(FOR_A_PERSON)
        if self.value() == COLLECTED:
            return queryset.filter(status=Delivery.Status.HELD, hold_cause=Delivery.HoldCause.COLLECTED)
        if self.value() == Delivery.Status.HELD:
            # The digest's thousands would bury what is held one by one.
            return queryset.filter(status=Delivery.Status.HELD).exclude(
                hold_cause=Delivery.HoldCause.COLLECTED
            )
        return queryset.filter(status=self.value()) if self.value() else queryset


class DigestFilter(admin.SimpleListFilter):
    """What one digest carries; reached from its page, and offered only where it is in use."""

    title = "digest"
    parameter_name = "digest"

    def lookups(self, request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The one in use."""
        chosen = request.GET.get(self.parameter_name, "")
        return [(chosen, chosen)] if chosen else []

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """The deliveries in it."""
        if not self.value():
            return queryset
        uid = ids.parse("dlv", self.value() or "")
        return queryset.filter(collected__digest__delivery__uid=uid) if uid else queryset.none()


class QueueFilter(admin.SimpleListFilter):
    """By the queue of the subscription."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The queues."""
        return [(name, name) for name in Queue.objects.values_list("name", flat=True)[:MOST_CHOICES]]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """The deliveries of the subscriptions that read the chosen one."""
        if not self.value():
            return queryset
        readers = Subscription.objects.filter(queue__name=self.value()).values_list("pk", flat=True)
        return queryset.filter(subscription__in=list(readers))


class MediumFilter(admin.SimpleListFilter):
    """Webhooks or email."""

    title = "medium"
    parameter_name = "medium"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The two that there are."""
        return [("webhook", "Webhook"), ("email", "Email")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """A webhook has no recipient, an email always has one."""
        match self.value():
            case "webhook":
                return queryset.filter(recipient="")
            case "email":
                return queryset.exclude(recipient="")
        return queryset


class SubscriptionFilter(admin.RelatedFieldListFilter):
    """By subscription: the first hundred by name; the others by the link on their own page."""

    def field_choices(self, _field: Any, _request: HttpRequest, _model_admin: Any) -> Any:
        """The choices shown."""
        named = Subscription.objects.order_by("name").values_list("pk", "name")[:MOST_CHOICES]
        return [(str(pk), name) for pk, name in named]


# The filters of the delivery log, in the order shown.
LOG: list[Any] = [StatusFilter, MediumFilter, QueueFilter, ("subscription", SubscriptionFilter), DigestFilter]
