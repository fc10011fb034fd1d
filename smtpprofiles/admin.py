"""SMTP profiles in the console. A password goes in and never comes out."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from .models import SmtpProfile
from .validators import ascii_only

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[SmtpProfile]
    _ModelAdmin = admin.ModelAdmin[SmtpProfile]
else:
    _ModelForm, _ModelAdmin = forms.ModelForm, admin.ModelAdmin  # not generic at run time


class SmtpProfileForm(_ModelForm):
    """The profile with a password that can be set, never read."""

    new_password = forms.CharField(
        label="SMTP password",
        required=False,
        strip=False,
        validators=[ascii_only],
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, never shown. Empty keeps the stored one; with no username it goes.",
    )

    class Meta:
        model = SmtpProfile
        exclude = ["password"]  # new_password stands in for it

    def _get_validation_exclusions(self) -> set[str]:
        # Making one profile the default takes that from the other (save_model), so it is no conflict.
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return exclusions | {"is_default"}

    def save(self, commit: bool = True) -> SmtpProfile:
        """Set the password where one was typed, and remove it where there is no user any more."""
        if not self.cleaned_data["username"]:
            self.instance.password = ""
        elif typed := self.cleaned_data["new_password"]:
            self.instance.password = typed
        saved: SmtpProfile = super().save(commit)
        return saved


@admin.register(SmtpProfile)
class SmtpProfileAdmin(_ModelAdmin):
    """List and edit profiles. The app above adds how they fare, and pausing and resuming them."""

    form = SmtpProfileForm
    list_display = [
        "name",
        "host",
        "port",
        "security",
        "from_address",
        "is_default",
        "is_active",
    ]
    list_filter = ["is_active", "is_default", "security"]
    search_fields = ["name", "host", "from_address", "username"]
    readonly_fields = ["created_at", "updated_at"]
    fieldsets = [
        (None, {"fields": ["name", "is_default", "is_active", "paused_reason"]}),
        ("Server", {"fields": ["host", "port", "security", "ca_certificate"]}),
        ("Limits", {"fields": ["timeout_seconds", "max_connections", "rate_per_minute"]}),
        ("Login", {"fields": ["username", "new_password"]}),
        ("Sender", {"fields": ["from_name", "from_address", "reply_to"]}),
        ("Record", {"fields": ["created_at", "updated_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SmtpProfile]:
        """Without the passwords: nothing here reads them, and one that no key opens breaks no page."""
        return super().get_queryset(request).defer(*SmtpProfile.secrets())

    def save_model(self, request: HttpRequest, obj: SmtpProfile, form: Any, change: bool) -> None:
        """Save; the default that it replaces, if any, stops being one in the same transaction."""
        with transaction.atomic():
            if obj.is_default:
                former = SmtpProfile.objects.filter(is_default=True).exclude(pk=obj.pk)
                names = list(former.values_list("name", flat=True))
                former.update(is_default=False)
                for name in names:
                    self.message_user(request, f"{name} is no longer the default.", messages.INFO)
            super().save_model(request, obj, form, change)
