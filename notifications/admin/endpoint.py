"""Webhook endpoints. Their signing secret is shown once, when they are made."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.page import Page, at, clip, count, reason_of
from events.admin.secret_page import show_once
from notifications.audit import record
from notifications.forms import EndpointForm
from notifications.models import Endpoint

from . import target


class StatusFilter(admin.SimpleListFilter):
    """Endpoints by whether they are called."""

    title = "status"
    parameter_name = "status"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The three that there are."""
        return [("open", "Open"), ("inactive", "Inactive"), ("paused", "Paused")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        """The endpoints of the chosen one."""
        chosen = {
            "open": Q(is_active=True, paused_reason=""),
            "inactive": Q(is_active=False),
            "paused": Q(is_active=True) & ~Q(paused_reason=""),
        }
        return queryset.filter(chosen[value]) if (value := self.value()) in chosen else queryset


@admin.register(Endpoint)
class EndpointAdmin(Page[Endpoint]):
    """Webhook receivers."""

    form = EndpointForm
    list_display = ["name", "state", "subscriber", "short_address", "max_in_flight", "updated"]
    list_filter = [StatusFilter, "subscriber"]
    search_fields = ["name", "subscriber__name", "base_url"]
    search_help_text = "Name, subscriber or URL"
    autocomplete_fields = ["subscriber"]
    readonly_fields = ["address", "status", "deliveries", "created", "updated"]
    actions = ["pause", "resume"]
    buttons = ["pause", "resume"]
    button_help = {
        "pause": "It is not called until it is resumed; what is for it waits, and none is lost.",
        "resume": "It is called again; what waits for it is due at once, in order.",
    }
    created, updated = at("created_at"), at("updated_at")
    fieldsets = [
        (None, {"fields": ["subscriber", "name", "base_url", "path"]}),
        ("Limits", {"fields": ["timeout_seconds", "max_in_flight"]}),
        ("TLS", {"fields": ["ca_certificate"], "classes": ["collapse"]}),
        ("State", {"fields": ["is_active", "status", "address", "deliveries", "created", "updated"]}),
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

    @admin.display(description="status")
    def state(self, row: Endpoint) -> SafeString | str:
        """The status, cut."""
        return clip(self.status(row))

    @admin.display(description="status")
    def status(self, row: Endpoint) -> str:
        """Whether it is called, and if not, why."""
        if not row.is_active:
            return "inactive: its deliveries wait"
        return f"paused: {row.paused_reason}" if row.paused_reason else "open"

    @admin.display(description="deliveries")
    def deliveries(self, row: Endpoint) -> SafeString | str:
        """A link to the subscriptions, whose pages lead to the deliveries."""
        if row.pk is None:
            return "—"
        url = f"{reverse('admin:notifications_subscription_changelist')}?endpoint__id__exact={row.pk}"
        return format_html('<a href="{}">Subscriptions that call it</a>', url)

    def offers(self, name: str, row: Endpoint) -> bool:
        """Only what is not called can be resumed."""
        return row.is_active if name == "pause" else not row.is_open

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

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Stop calling endpoints; what is for them waits."""
        with transaction.atomic():
            chosen = list(queryset.filter(is_active=True).select_for_update(of=["self"]))
            for endpoint in chosen:
                endpoint.is_active = False
            self._save(request, chosen, "endpoint.pause")
        self.tell(request, f"{count(len(chosen), 'endpoint')} paused.")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Call endpoints again that are inactive or paused; what waits for them is due at once, in order."""
        with transaction.atomic():
            stopped = queryset.exclude(is_active=True, paused_reason="")
            chosen = list(stopped.select_for_update(of=["self"]))
            for endpoint in chosen:
                endpoint.is_active, endpoint.paused_reason = True, ""
            self._save(request, chosen, "endpoint.resume")
        self.tell(request, f"{count(len(chosen), 'endpoint')} resumed.")

    def _save(self, request: HttpRequest, chosen: list[Endpoint], action: str) -> None:
        for endpoint in chosen:
            # One by one: saving stops or opens the endpoint's channels.
            endpoint.save(update_fields=["is_active", "paused_reason", "updated_at"])
        record(request.user, action, [f"endpoint {endpoint.pk}" for endpoint in chosen], reason_of(request))
