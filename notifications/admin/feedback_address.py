"""Where providers report what became of mails."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from events.admin.page import Page, at, reason_of
from events.admin.secret_page import show_once
from events.admin.typed import ModelForm
from notifications import audit, bounce_views, feedback_address
from notifications.models import FeedbackAddress
from smtpprofiles.models import SmtpProfile

_USE = (
    "Enter this URL as the address for webhooks (events, notifications) at the provider, for bounces, "
    "complaints and deliveries. Whoever knows it can report what became of your mails."
)
_USE_OF_MAILS = (
    "Let the mail server that receives the mail to “Bounces go to” post each one here, as it is: in Postfix, "
    "two lines (docs/mail.md). Whoever knows this URL can hand in mails."
)


class FeedbackAddressForm(ModelForm[FeedbackAddress]):
    """An address with a signing key that can be set, never read."""

    new_signing_key = forms.CharField(
        label="Signing key",
        required=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Mailgun, MailerSend and Resend sign what they report: their signing key. Stored encrypted, "
        "never shown. Empty keeps the stored one.",
    )

    class Meta:
        model = FeedbackAddress
        fields = ["profile", "provider", "keeps_opens"]

    def _post_clean(self) -> None:
        # Before the model's own check, which asks whether it is there.
        if typed := self.cleaned_data.get("new_signing_key"):
            self.instance.signing_key = typed
        super()._post_clean()  # type: ignore[misc]

    def _update_errors(self, errors: ValidationError) -> None:
        # What the model says of the key stands at the field that sets it.
        if hasattr(errors, "error_dict") and "signing_key" in errors.error_dict:
            errors.error_dict["new_signing_key"] = errors.error_dict.pop("signing_key")
        super()._update_errors(errors)  # type: ignore[misc]


@admin.register(FeedbackAddress)
class FeedbackAddressAdmin(Page[FeedbackAddress]):
    """Where providers report what became of mails."""

    form = FeedbackAddressForm
    created = at("created_at")
    empty_help = (
        "Add one for each profile of which bounces and complaints are to be known: its URL is entered at the "
        "provider, or in the mail server that receives the bounce mails."
    )
    list_display = ["profile", "provider", "keeps_opens", "created"]
    autocomplete_fields = ["profile"]
    fields = ["profile", "provider", "new_signing_key", "keeps_opens"]
    actions = ["new_url"]
    buttons = ["new_url"]
    button_help = {"new_url": "Makes a new URL, which is shown once; the old one stops working at once."}

    def get_queryset(self, request: HttpRequest) -> QuerySet[FeedbackAddress]:
        """Without the secrets: one that no key opens breaks no page."""
        secrets = ("signing_key", *SmtpProfile.secrets("profile__"))
        return super().get_queryset(request).select_related("profile").defer(*secrets)

    def has_renew_permission(self, request: HttpRequest) -> bool:
        """Whoever may change them."""
        return request.user.has_perm("notifications.change_feedbackaddress")

    def save_model(self, request: HttpRequest, obj: FeedbackAddress, form: Any, change: bool) -> None:
        """A new one gets its URL, shown by the answer."""
        if not change:
            form.shown_url = feedback_address.renew(obj)
        super().save_model(request, obj, form, change)
        obj.shown_url = getattr(form, "shown_url", "")  # type: ignore[attr-defined]  # for the answer

    def response_add(
        self, request: HttpRequest, obj: FeedbackAddress, _post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the URL once."""
        return self._show(request, obj, obj.shown_url)  # type: ignore[attr-defined]

    @admin.action(description="Make a new URL", permissions=["renew"])
    def new_url(self, request: HttpRequest, queryset: QuerySet[FeedbackAddress]) -> HttpResponse | None:
        """Show a new URL once."""
        rows = list(queryset[:2])
        if len(rows) != 1:
            self.tell(request, "Choose one address: its URL is shown once.")
            return None
        with transaction.atomic():
            url = feedback_address.renew(rows[0])
            rows[0].save(update_fields=["token_hash", "updated_at"])
            audit.record(request.user, "feedbackaddress.renew", [str(rows[0])], reason_of(request))
        return self._show(request, rows[0], url)

    def _show(self, request: HttpRequest, row: FeedbackAddress, url: str) -> HttpResponse:
        use = _USE_OF_MAILS if row.provider in bounce_views.MAILING else _USE
        return show_once(request, self.admin_site, row, secret=url, title="The feedback URL", use=use)
