"""Queues, and which event types flow into them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from events.models import ApiKey, Grant, Queue, Route, Scope

from .pausable import PausablePage
from .typed import TabularInline


class RouteInline(TabularInline[Route, Queue]):
    """The event types of a queue."""

    model = Route
    extra = 1
    autocomplete_fields = ["event_type"]
    verbose_name = "event type"
    verbose_name_plural = "event types that flow into it"


@admin.register(Queue)
class QueueAdmin(PausablePage[Queue]):
    """Queues with their routing."""

    list_display = ["name", "state", "description", "is_ordered", "event_type_count"]
    list_filter = ["is_paused", "is_ordered"]
    # Said here, because grouping for the count forgets the model's own order.
    ordering = ["name"]
    search_fields = ["name", "description"]
    search_help_text = "Name or description"
    inlines = [RouteInline]
    fields = ["name", "description", "is_ordered", "state"]
    readonly_fields = ["state"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        """With the number of event types."""
        return super().get_queryset(request).annotate(_event_types=Count("routes"))

    @admin.display(description="event types", ordering="_event_types")
    def event_type_count(self, row: Queue) -> int:
        """How many event types flow into it."""
        return int(getattr(row, "_event_types", 0))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the routes, and say whose events they would make refused."""
        super().save_related(request, form, formsets, change)
        added = [
            route.event_type_id
            for formset in formsets
            if formset.model is Route
            for route in [*formset.new_objects, *(row for row, _ in formset.changed_objects)]
        ]
        queue: Queue = form.instance
        shut_out = publishers_without_grant(queue, added) if added else {}
        for name, codes in shut_out.items():
            self.message_user(
                request,
                f"{name} publishes {', '.join(codes)} and has no grant to create on the queue {queue}: "
                f"its events of this type are refused now, unless they name another queue. "
                f"Grant create on {queue} to {name}.",
                messages.WARNING,
            )


def publishers_without_grant(queue: Queue, event_types: Iterable[int]) -> dict[str, list[str]]:
    """Return, by subscriber name, the codes of these types that it may publish elsewhere and not on this queue.

    An event flows into every queue of its type, so it is refused unless all of them grant its creation.
    """
    publishing = ApiKey.objects.usable().filter(scopes__contains=[Scope.EVENTS_CREATE])
    pairs = (
        Grant.objects.filter(
            can_create=True,
            subscriber__in=publishing.values("subscriber"),
            queue__routes__event_type__in=list(event_types),
        )
        .exclude(queue=queue)
        .exclude(subscriber__in=queue.grants.filter(can_create=True).values("subscriber"))
        .order_by("subscriber__name", "queue__routes__event_type__code")
        .values_list("subscriber__name", "queue__routes__event_type__code")
        .distinct()
    )
    found: dict[str, list[str]] = {}
    for name, code in pairs:
        found.setdefault(name, []).append(code)
    return found
