"""Triggers."""

from django.contrib import admin

from events.models import Trigger, TriggerCondition

from .page import Page
from .typed import TabularInline

NOT_EVALUATED = (
    "This release stores triggers and does not evaluate them yet: even an active one publishes nothing. "
    "Until it does, have the billing system post the events."
)


class TriggerConditionInline(TabularInline[TriggerCondition, Trigger]):
    """The rows of a trigger's rule."""

    model = TriggerCondition
    extra = 0


@admin.register(Trigger)
class TriggerAdmin(Page[Trigger]):
    """Rules that will turn changes, time or absence into events."""

    list_display = ["name", "source", "object_kind", "event_type", "is_active"]
    list_filter = ["source", "is_active"]
    list_select_related = ["event_type"]
    search_fields = ["name", "event_type__code"]
    search_help_text = "Name or event type"
    autocomplete_fields = ["event_type", "anchor"]
    inlines = [TriggerConditionInline]
    fieldsets = [
        (None, {"fields": ["name", "event_type", "is_active"], "description": NOT_EVALUATED}),
        ("When", {"fields": ["source", "object_kind"]}),
        ("Schedule", {"fields": ["anchor", "offset_days", "at_time"], "description": "Schedules only."}),
    ]
