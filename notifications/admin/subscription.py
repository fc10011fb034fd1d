"""Subscriptions, with their recipients, parameters and filters."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.pausable import PausablePage
from events.admin.typed import TabularInline
from notifications.forms import FilterFormSet, ParameterFormSet, RecipientFormSet, SubscriptionForm
from notifications.models import Endpoint, Filter, Parameter, Recipient, Subscription
from notifications.parameter_form import ParameterForm
from smtpprofiles.models import SmtpProfile

from . import digest_page
from .callout_preview import PreviewPage
from .mail_trial import MailTrials
from .misfit import Attention, AttentionFilter
from .trial import SubscriptionTrials


class RecipientInline(TabularInline[Recipient, Subscription]):
    """Email only: one of user, group, address and token in each row."""

    model = Recipient
    formset = RecipientFormSet
    extra = 1
    autocomplete_fields = ["user", "group"]
    verbose_name_plural = "recipients (email only; one of the four in each row)"


class ParameterInline(TabularInline[Parameter, Subscription]):
    """Webhooks only: name/value pairs of the callout."""

    model = Parameter
    form = ParameterForm
    formset = ParameterFormSet
    extra = 0
    verbose_name_plural = "parameters (webhooks only)"


class FilterInline(TabularInline[Filter, Subscription]):
    """Conditions on the payload; all of them must hold."""

    model = Filter
    formset = FilterFormSet
    extra = 0
    verbose_name_plural = "filters (all of them must hold; none: every event)"


class MediumFilter(admin.SimpleListFilter):
    """Webhooks or email."""

    title = "medium"
    parameter_name = "medium"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The two that there are."""
        return [("webhook", "Webhook"), ("email", "Email")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The subscriptions of the chosen one."""
        if self.value() in ("webhook", "email"):
            return queryset.filter(endpoint__isnull=self.value() == "email")
        return queryset


@admin.register(Subscription)
class SubscriptionAdmin(
    Attention, MailTrials, SubscriptionTrials, PreviewPage[Subscription], PausablePage[Subscription]
):
    """Who is told what, and how."""

    actions = ["pause", "resume", "send_test", "send_test_to_me"]
    buttons = ["pause", "resume", "send_test", "send_test_to_me"]
    button_help = {
        **PausablePage.button_help,
        "send_test": "One request to its endpoint, as this subscription sends it; shows each step.",
        "send_test_to_me": "One mail with sample data or a past event, to your own address; shows how it went.",
    }

    form = SubscriptionForm
    empty_help = (
        "A subscription says who gets which events, and how. Before the first: add a subscriber, "
        "and an endpoint for webhooks, or an SMTP profile for email."
    )
    list_display = ["name", "subscriber", "queue", "notification", "operation_list", "state"]
    list_filter = ["is_active", "is_paused", MediumFilter, AttentionFilter, "queue", "subscriber"]
    search_fields = ["name", "subscriber__name"]
    search_help_text = "Name or subscriber"
    autocomplete_fields = ["subscriber", "queue", "event_types", "endpoint", "email_template", "profile"]
    inlines = [RecipientInline, ParameterInline, FilterInline]
    readonly_fields = ["state", "deliveries", "preview", "fit", "collected"]
    fieldsets = [
        (None, {"fields": ["subscriber", "name", "is_active", "state", "fit", "deliveries"]}),
        (
            "Which events",
            {
                "fields": [
                    "queue",
                    "event_types",
                    ("on_create", "on_update", "on_delete"),
                    "on_failure",
                    "retry_seconds",
                ]
            },
        ),
        (
            "Which notification: an endpoint or an email template",
            {
                "fields": ["endpoint", "email_template", "profile", "allows_opt_out"],
                "description": "Add the endpoint first, on its own page: that shows its signing secret.",
            },
        ),
        (
            "Storm control",
            {
                "fields": [("storm_limit", "storm_minutes"), "collected"],
                "description": "For floods, such as thousands of dormant SIMs found in one night. With at most 10 "
                "in 60 minutes, the first 10 go out one by one; if 5,000 come, the other 4,990 are one mail with a "
                "table, or one callout with a list, when the 60 minutes are over. Each recipient gets a digest of "
                "their own. Nothing is lost, and in an in-order queue nothing overtakes.",
            },
        ),
        (
            "The body of the callout",
            {
                "fields": ["payload_template", "preview"],
                "description": "For receivers that dictate their own JSON, such as chat tools. Write the whole body: "
                '{"text": "Invoice {{ invoice.number }}", "event": {{ data }}}. Values are escaped for JSON; '
                "{{ value | json }} writes a whole value with its quotes, {{ data }} the payload byte for byte, "
                "{{ parameters.NAME }} a parameter placed in the body. With storm control, {% if digest.count %} is "
                "true for a digest, which has digest.subject, .count, .sent_singly, .subscription, .from, .until, "
                ".all and .id; a template that names none of them leaves digests to the standard body.",
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        """With what the list shows, without secrets."""
        related = ("subscriber", "queue", "endpoint", "email_template")
        secrets = (
            *(f"endpoint__{name}" for name in Endpoint.BULKY),
            "email_template__text",
            "email_template__html",
        )
        return super().get_queryset(request).select_related(*related).defer(*secrets)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Name endpoints and profiles without reading their secrets."""
        secrets = {"endpoint": Endpoint.BULKY, "profile": SmtpProfile.secrets()}
        if db_field.name in secrets:
            kwargs["queryset"] = db_field.remote_field.model.objects.defer(*secrets[db_field.name])
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """No pop-up that adds an endpoint: its page shows the secret once, and a pop-up closes itself."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        widget: Any = getattr(field, "widget", None)
        if db_field.name == "endpoint" and hasattr(widget, "can_add_related"):
            widget.can_add_related = False
        return field

    def offers(self, name: str, row: Subscription) -> bool:
        """A test where there is an endpoint."""
        return row.endpoint_id is not None if name == "send_test" else super().offers(name, row)

    @admin.display(description="state", ordering="is_paused")
    def state(self, row: Subscription) -> str:
        """Whether it is paused, or no event is for it."""
        return super().state(row) if row.is_active else "off: no event is for it"

    @admin.display(description="notification")
    def notification(self, row: Subscription) -> str:
        """The endpoint or template, with its medium."""
        return f"webhook: {row.endpoint}" if row.endpoint else f"email: {row.email_template}"

    @admin.display(description="operations")
    def operation_list(self, row: Subscription) -> str:
        """Which of create, update and delete it gets."""
        return ", ".join(name for name in ("create", "update", "delete") if name in row.operations)

    @admin.display(description="preview")
    def preview(self, row: Subscription) -> SafeString | str:
        """A link to what its callout would be."""
        return self.preview_link(row)

    @admin.display(description="deliveries")
    def deliveries(self, row: Subscription) -> SafeString | str:
        """A link to what it has sent and is about to send."""
        if row.pk is None:
            return "None yet."
        url = f"{reverse('admin:notifications_delivery_changelist')}?subscription__id__exact={row.pk}"
        return format_html('<a href="{}">Its deliveries</a>', url)

    @admin.display(description="collected now")
    def collected(self, row: Subscription) -> SafeString | str:
        """When the next digests are due, with a link to what they will carry."""
        return digest_page.collected_by(row)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the rows, and say which chosen event types can never come."""
        super().save_related(request, form, formsets, change)
        subscription: Subscription = form.instance
        chosen = list(subscription.event_types.all())
        routed = set(subscription.queue.routes.values_list("event_type_id", flat=True))
        missing = [each.code for each in chosen if each.pk not in routed]
        if missing:
            self._warn(
                request,
                f"Not in the queue {subscription.queue}, so they never come: {', '.join(missing)}. "
                "Add them to the queue's event types.",
            )
        elif not chosen and not routed:
            self._warn(request, f"No event type flows into the queue {subscription.queue} yet.")
        unwanted = [each.code for each in chosen if each.operation not in subscription.operations]
        if unwanted:
            self._warn(request, f"Never sent, as their operation is not ticked: {', '.join(unwanted)}.")

    def _warn(self, request: HttpRequest, text: str) -> None:
        self.message_user(request, text, messages.WARNING)
