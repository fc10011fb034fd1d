"""Subscribers and their grants."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.models import ApiKey, Grant, Subscriber

from .page import Page, RecordInline
from .typed import TabularInline


class GrantInline(TabularInline[Grant, Subscriber]):
    """What a subscriber may do with the entries of each queue."""

    model = Grant
    extra = 0
    autocomplete_fields = ["queue"]


class ApiKeyInline(RecordInline[ApiKey, Subscriber]):
    """A subscriber's keys, to look at."""

    model = ApiKey
    fields = readonly_fields = ("name", "prefix", "scopes", "expires_at", "revoked_at", "last_used_at")
    verbose_name_plural = "API keys"


@admin.register(Subscriber)
class SubscriberAdmin(Page[Subscriber]):
    """External systems and teams."""

    empty_help = (
        "A subscriber is who is told: a team, a customer, another system. Add one, then its "
        "endpoints, keys and subscriptions."
    )
    list_display = ["name", "contact_email", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name", "contact_email"]
    search_help_text = "Name or contact address"
    inlines = [GrantInline, ApiKeyInline]
    fields = ["name", "contact_email", "notes", "is_active", "created_at", "belongings"]
    readonly_fields = ["created_at", "belongings"]

    # Pages of the apps above this one are named, not imported.
    _LINKS = (
        ("events_apikey", "API keys", True),
        ("notifications_endpoint", "Endpoints", True),
        ("notifications_subscription", "Subscriptions", True),
        ("events_event", "Events it published", False),
    )

    @admin.display(description="belongs to it")
    def belongings(self, row: Subscriber) -> SafeString | str:
        """Links to what the subscriber owns, and to adding more of it."""
        if row.pk is None:
            return "Save the subscriber first, then add keys, endpoints and subscriptions."
        parts = []
        for page, label, can_add in self._LINKS:
            owner = "publisher" if page == "events_event" else "subscriber"
            found = f"{reverse(f'admin:{page}_changelist')}?{owner}__id__exact={row.pk}"
            link = format_html('<a href="{}">{}</a>', found, label)
            if can_add:
                add = f"{reverse(f'admin:{page}_add')}?subscriber={row.pk}"
                link = format_html('{} (<a href="{}">add</a>)', link, add)
            parts.append((link,))
        return format_html_join(" · ", "{}", parts)


@admin.register(Grant)
class GrantAdmin(Page[Grant]):
    """Who may do what on which queue, over all subscribers."""

    empty_help = (
        "A grant lets the keys of a subscriber publish into a queue, or change what waits there. "
        "Add one here, or on the page of the subscriber."
    )
    list_display = ["subscriber", "queue", "can_create", "can_update", "can_delete", "others_entries"]
    list_filter = ["queue", "can_create", "can_update", "can_delete"]
    list_select_related = ["subscriber", "queue"]
    search_fields = ["subscriber__name", "queue__name"]
    search_help_text = "Subscriber or queue"
    autocomplete_fields = ["subscriber", "queue"]
