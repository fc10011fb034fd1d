"""Billing objects as last reported, and triggers."""

import json

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.models import BillingObject, Trigger, TriggerCondition

from .page import Page, RecordPage
from .typed import TabularInline

NOT_EVALUATED = (
    "This release stores triggers and does not evaluate them yet: even an active one publishes nothing. "
    "Until it does, have the billing system post the events."
)


@admin.register(BillingObject)
class BillingObjectAdmin(RecordPage[BillingObject]):
    """Accounts, services, invoices, …: reported by the billing system, read here."""

    list_display = ["kind", "external_id", "parent", "version", "reported_at"]
    list_display_links = ["external_id"]
    list_select_related = ["parent"]
    # Looked up exactly by get_search_results; naming one shows the search box.
    search_fields = ["external_id"]
    search_help_text = "Exactly: kind:id, such as account:1001"
    fields = ["kind", "external_id", "parent", "version", "reported_at", "state_text"]

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[BillingObject], search_term: str
    ) -> tuple[QuerySet[BillingObject], bool]:
        """By kind and id, which are indexed together; by a kind alone."""
        kind, colon, external_id = search_term.strip().partition(":")
        if not kind:
            return queryset, False
        return queryset.filter(Q(kind=kind, external_id=external_id) if colon else Q(kind=kind)), False

    @admin.display(description="state")
    def state_text(self, row: BillingObject) -> SafeString:
        """The state, indented."""
        return format_html('<pre class="exact">{}</pre>', json.dumps(row.state, indent=2, ensure_ascii=False))


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
