"""Webhook endpoints. Their signing secret is shown once, when they are made."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.page import at, clip
from events.admin.secret_page import show_once
from notifications.audit import record
from notifications.forms import EndpointForm
from notifications.models import Endpoint

from . import target
from .destination import DestinationPage, StatusFilter
from .trial import EndpointTrials


@admin.register(Endpoint)
class EndpointAdmin(EndpointTrials):
    """Webhook receivers."""

    form = EndpointForm
    list_display = [
        "name",
        "state",
        "subscriber",
        "short_address",
        "max_in_flight",
        "rate_per_minute",
        "updated",
    ]
    list_filter = [StatusFilter, "subscriber"]
    search_fields = ["name", "subscriber__name", "base_url"]
    search_help_text = "Name, subscriber or URL"
    autocomplete_fields = ["subscriber"]
    readonly_fields = ["address", "deliveries", "created", "updated", *DestinationPage.delivery_fields]
    created, updated = at("created_at"), at("updated_at")
    fieldsets = [
        (None, {"fields": ["subscriber", "name", "base_url", "path"]}),
        ("Delivery", {"fields": DestinationPage.delivery_fields}),
        ("Limits", {"fields": ["timeout_seconds", "max_in_flight", "rate_per_minute"]}),
        ("TLS", {"fields": ["ca_certificate"], "classes": ["collapse"]}),
        ("State", {"fields": ["is_active", "address", "deliveries", "created", "updated"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        """Without the secrets: nothing here reads them, and one that no key opens breaks no page."""
        return super().get_queryset(request).select_related("subscriber").defer("secret", "ca_certificate")

    @admin.display(description="URL")
    def address(self, row: Endpoint) -> str:
        """Where callouts go; also where settings have come to forbid it since it was saved."""
        return target.address(row) if row.base_url else "—"

    @admin.display(description="URL", ordering="base_url")
    def short_address(self, row: Endpoint) -> SafeString | str:
        """Where callouts go, cut."""
        return clip(self.address(row))

    @admin.display(description="deliveries")
    def deliveries(self, row: Endpoint) -> SafeString | str:
        """A link to the subscriptions, whose pages lead to the deliveries."""
        if row.pk is None:
            return "—"
        url = f"{reverse('admin:notifications_subscription_changelist')}?endpoint__id__exact={row.pk}"
        return format_html('<a href="{}">Subscriptions that call it</a>', url)

    def response_add(
        self, request: HttpRequest, obj: Endpoint, _post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the signing secret, in this answer only."""
        record(request.user, "endpoint.create", [f"endpoint {obj.pk}"])
        return show_once(
            request,
            self.admin_site,
            obj,
            secret=obj.secret,
            title="The new endpoint's signing secret",
            use="The receiver verifies the header webhook-signature with it, by Standard Webhooks.",
        )
