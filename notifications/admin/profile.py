"""SMTP profiles again, now with how each fares, what waits for it, and its test."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from notifications.audit import record
from smtpprofiles.admin import SmtpProfileAdmin
from smtpprofiles.encryption import SecretUnreadable
from smtpprofiles.models import SmtpProfile
from smtpprofiles.probe import Probe, probe
from smtpprofiles.sample_mail import compose

from .destination import DestinationPage, StatusFilter

# Importing it has registered the page of the app below; this one stands in for it.
admin.site.unregister(SmtpProfile)


@admin.register(SmtpProfile)
class SmtpProfileWithDeliveryAdmin(DestinationPage[SmtpProfile], SmtpProfileAdmin):
    """Mail accounts, with how their mail is doing."""

    change_form_template = SmtpProfileAdmin.change_form_template
    list_display = ["name", "state", "where", "from_address", "rate_per_minute", "fallback", "is_default"]
    list_filter = [StatusFilter, "kind", "is_default"]
    list_select_related = ["fallback"]
    search_help_text = "Name, server, address or user name"
    readonly_fields = [*DestinationPage.delivery_fields, *SmtpProfileAdmin.readonly_fields]
    actions = ["pause", "resume", "test", "test_with_mail"]
    buttons = ["test", "test_with_mail", *DestinationPage.buttons]
    button_help = {
        **DestinationPage.button_help,
        "test": "Goes through each step, up to logging in; sends nothing.",
        "test_with_mail": "The same, and then a short mail to your own address.",
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[SmtpProfile]:
        """Nor the secrets of the fallback."""
        return super().get_queryset(request).defer(*SmtpProfile.secrets(), *SmtpProfile.secrets("fallback__"))

    def get_fieldsets(self, request: HttpRequest, obj: SmtpProfile | None = None) -> Any:
        """A new one has not fared in any way yet."""
        *groups, (title, state) = super().get_fieldsets(request, obj)
        if obj is None:
            state["fields"] = [name for name in state["fields"] if name not in self.readonly_fields]
        return [*groups, (title, state)]

    def offers(self, name: str, row: SmtpProfile) -> bool:
        """One that is paused or inactive can be tested, too."""
        return name.startswith("test") or super().offers(name, row)

    @admin.display(description="where", ordering="host")
    def where(self, row: SmtpProfile) -> str:
        """Its server and port, or its provider."""
        return row.label

    @admin.action(description="Test connection", permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[SmtpProfile]) -> HttpResponse | None:
        """Show each step, with the server's words."""
        return self._test(request, queryset, recipient="")

    @admin.action(description="Test and send me a mail", permissions=["change"])
    def test_with_mail(self, request: HttpRequest, queryset: QuerySet[SmtpProfile]) -> HttpResponse | None:
        """Show each step, and the handing in of a mail to the user's own address."""
        recipient = getattr(request.user, "email", "")
        if not recipient:
            self.message_user(
                request,
                "No mail was sent: your user has no email address. Enter one first.",
                messages.WARNING,
            )
            return None
        return self._test(request, queryset, recipient=recipient)

    def _test(
        self, request: HttpRequest, queryset: QuerySet[SmtpProfile], *, recipient: str
    ) -> HttpResponse | None:
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Nothing was tested: choose one profile.", messages.WARNING)
            return None
        [profile] = chosen
        try:
            found: Probe | None = run(profile, recipient)
            trouble = ""
        except (SecretUnreadable, ValueError) as error:
            found, trouble = None, str(error)
        record(request.user, "smtp_profile.test", [f"smtp profile {profile.pk}"])
        context = {
            **self.admin_site.each_context(request),
            "title": f"Test of {profile}",
            "opts": self.opts,
            "profile": profile,
            "recipient": recipient,
            "probe": found,
            "trouble": trouble,
            "list_url": reverse("admin:smtpprofiles_smtpprofile_changelist"),
            "back_url": reverse("admin:smtpprofiles_smtpprofile_change", args=[profile.pk]),
            "again_url": reverse(
                "admin:smtpprofiles_smtpprofile_do",
                args=[profile.pk, "test_with_mail" if recipient else "test"],
            ),
        }
        return TemplateResponse(request, "admin/smtpprofiles/probe.html", context)


def run(profile: SmtpProfile, recipient: str) -> Probe:
    """Test a profile now. SecretUnreadable, or ValueError for an address that cannot be written to."""
    message = compose(profile, recipient) if recipient else b""
    try:
        return probe(profile.account(), recipient=recipient, message=message)
    finally:
        SmtpProfile.keep_new_refresh_tokens()
