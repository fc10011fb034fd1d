"""Webhook endpoints. Their signing secret is shown once, when they are made, and later only with a reason."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.page import at, clip, utc
from events.admin.secret_page import show_once
from events.admin.typed import TabularInline
from notifications.address_warnings import warnings_of
from notifications.authentication import FIELDS
from notifications.endpoint_forms import EndpointForm, EndpointHeaderForm, EndpointHeaderFormSet
from notifications.models import Endpoint, EndpointHeader
from smtpprofiles.client_certificate import facts

from . import target
from .destination import DestinationPage, StatusFilter
from .signing import COPY_NOW, USE
from .trial import EndpointTrials

# The part of the page that belongs to a choice of Authorization; only the one in use is open.
_PARTS = {
    "basic": ("Authentication: Basic", FIELDS["basic"]),
    "bearer": ("Authentication: bearer token", FIELDS["bearer"]),
    "oauth2": (
        "Authentication: OAuth2 client credentials",
        (*FIELDS["oauth2"][:5], "credentials_in", "token_ca_certificate"),
    ),
}


class HeaderInline(TabularInline[EndpointHeader, Endpoint]):
    """Headers that go with every callout."""

    model = EndpointHeader
    form = EndpointHeaderForm
    formset = EndpointHeaderFormSet
    extra = 0
    verbose_name_plural = "headers (added to every callout; mark as secret what must not be seen)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[EndpointHeader]:
        """Without the secrets: nothing here reads them."""
        return super().get_queryset(request).defer("secret_value")


@admin.register(Endpoint)
class EndpointAdmin(EndpointTrials):
    """Webhook receivers."""

    form = EndpointForm
    inlines = [HeaderInline]
    empty_help = (
        "An endpoint is the URL of a receiver. Add one: the next page shows its signing secret, once. "
        "A receiver to try it with is manage.py webhook_sink."
    )
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
    readonly_fields = [
        "address",
        "deliveries",
        "created",
        "updated",
        "verifying_key",
        "certificate",
        *DestinationPage.delivery_fields,
    ]
    created, updated = at("created_at"), at("updated_at")

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        """By what a person thinks of; open is what is in use."""
        found = self._all_fieldsets(obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        # Who may only look is shown the row's own values: there a secret has no place.
        return [
            (
                title,
                {**options, "fields": [name for name in options["fields"] if name not in Endpoint.SECRETS]},
            )
            for title, options in found
        ]

    @staticmethod
    def _all_fieldsets(obj: Endpoint | None) -> list[tuple[str, dict[str, Any]]]:
        used = obj.authorization if obj else ""
        has_certificate = bool(obj and (obj.ca_certificate or obj.client_certificate))
        return [
            ("Where", {"fields": ["subscriber", "name", "base_url", "path", "address"]}),
            (
                "Authentication",
                {
                    "fields": [
                        "signs_ed25519",
                        "verifying_key",
                        "authorization",
                        "api_key_header",
                        "api_key",
                    ],
                    "description": "Every callout is signed by Standard Webhooks (v1), whatever is chosen here.",
                },
            ),
            *(
                (title, {"fields": list(fields), "classes": [] if scheme == used else ["collapse"]})
                for scheme, (title, fields) in _PARTS.items()
            ),
            (
                "TLS",
                {
                    "fields": ["ca_certificate", "client_certificate", "certificate", "client_key"],
                    "classes": [] if has_certificate else ["collapse"],
                },
            ),
            ("Limits", {"fields": ["timeout_seconds", "max_in_flight", "rate_per_minute"]}),
            ("State", {"fields": ["is_active", *DestinationPage.delivery_fields, "deliveries"]}),
            ("Record", {"fields": ["created", "updated"]}),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        """Without the secrets: nothing here reads them, and one that no key opens breaks no page."""
        return super().get_queryset(request).select_related("subscriber").defer(*Endpoint.BULKY)

    @admin.display(description="URL")
    def address(self, row: Endpoint) -> str:
        """Where callouts go; also where settings have come to forbid it since it was saved."""
        return target.address(row) if row.base_url else "—"

    @admin.display(description="URL", ordering="base_url")
    def short_address(self, row: Endpoint) -> SafeString | str:
        """Where callouts go, cut."""
        return clip(self.address(row))

    @admin.display(description="public key")
    def verifying_key(self, row: Endpoint) -> SafeString | str:
        """What the receiver verifies Ed25519 signatures with."""
        # A form that was refused carries a key pair which nobody keeps.
        kept = Endpoint.objects.filter(pk=row.pk).values_list("public_key", flat=True).first()
        if not kept:
            return "None: tick the box above and save to have one."
        return format_html('<code translate="no">{}</code> The receiver verifies v1a with it.', kept)

    @admin.display(description="what it says")
    def certificate(self, row: Endpoint) -> str:
        """Whose the client certificate is, and until when."""
        if not row.client_certificate:
            return "—"
        found = facts(row.client_certificate)
        return f"{found.subject}, issued by {found.issuer}, good until {utc(found.expires_at)}."

    @admin.display(description="deliveries")
    def deliveries(self, row: Endpoint) -> SafeString | str:
        """A link to the subscriptions, whose pages lead to the deliveries."""
        if row.pk is None:
            return "—"
        url = f"{reverse('admin:notifications_subscription_changelist')}?endpoint__id__exact={row.pk}"
        return format_html('<a href="{}">Subscriptions that call it</a>', url)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the headers too; note whether a name is to be looked up."""
        super().save_related(request, form, formsets, change)
        if {"base_url", "token_url"} & set(form.changed_data):
            request.looked_up = form.instance  # type: ignore[attr-defined]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show or save; what the address guard will refuse is told once it is committed, as a look-up takes time."""
        response = super().changeform_view(request, object_id, form_url, extra_context)
        if saved := getattr(request, "looked_up", None):
            for warning in warnings_of(saved):
                self.message_user(request, warning, messages.WARNING)
        return response

    def response_add(
        self, request: HttpRequest, obj: Endpoint, _post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the signing secret, in this answer only."""
        public = f" For Ed25519 (v1a), its public key is {obj.public_key}" if obj.public_key else ""
        return show_once(
            request,
            self.admin_site,
            obj,
            secret=obj.secret,
            title="The new endpoint's signing secret",
            use=USE + public,
            note=COPY_NOW,
        )
