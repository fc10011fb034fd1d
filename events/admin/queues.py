"""Queues, and which event types flow into them."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from events.models import Queue, Route

from .page import Page
from .typed import TabularInline


class RouteInline(TabularInline[Route, Queue]):
    """The event types of a queue."""

    model = Route
    extra = 1
    autocomplete_fields = ["event_type"]
    verbose_name = "event type"
    verbose_name_plural = "event types that flow into it"


@admin.register(Queue)
class QueueAdmin(Page[Queue]):
    """Queues with their routing."""

    list_display = ["name", "description", "is_ordered", "event_type_count"]
    list_filter = ["is_ordered"]
    # Said here, because grouping for the count forgets the model's own order.
    ordering = ["name"]
    search_fields = ["name", "description"]
    search_help_text = "Name or description"
    inlines = [RouteInline]
    fields = ["name", "description", "is_ordered"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        """With the number of event types."""
        return super().get_queryset(request).annotate(_event_types=Count("routes"))

    @admin.display(description="event types", ordering="_event_types")
    def event_type_count(self, row: Queue) -> int:
        """How many event types flow into it."""
        return int(getattr(row, "_event_types", 0))
