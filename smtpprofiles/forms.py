"""The form of a profile: a secret goes in and never comes out."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from .account import Authentication
from .models import SmtpProfile
from .providers import PROVIDERS, Kind
from .validators import ascii_only

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[SmtpProfile]
else:
    _ModelForm = forms.ModelForm  # not generic at run time

KEEPS = "Stored encrypted, never shown. Empty keeps the stored one."


def _secret(label: str, help_text: str = KEEPS, **options: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=help_text,
        **options,
    )


class SmtpProfileForm(_ModelForm):
    """The profile with secrets that can be set, never read."""

    new_password = _secret("SMTP password", strip=False, validators=[ascii_only])
    new_oauth_client_secret = _secret("Client secret")
    new_oauth_refresh_token = _secret("Refresh token")
    new_provider_key = _secret("API key")
    new_provider_secret = _secret("Secret key")
    new_provider_token = _secret("Session token", f"Only with temporary credentials. {KEEPS}")

    class Meta:
        model = SmtpProfile
        exclude = list(SmtpProfile.SECRETS)  # the fields above stand in for them

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.data.get("kind") or self.initial.get("kind")
        if kind in PROVIDERS:
            self.fields["new_provider_key"].label = PROVIDERS[Kind(kind)].key_label

    def _get_validation_exclusions(self) -> set[str]:
        # Making one profile the default takes that from the other (save_model), so it is no conflict.
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return exclusions | {"is_default"}

    def _post_clean(self) -> None:
        # Before the model's own check, which asks whether they are there.
        for name in SmtpProfile.SECRETS:
            if typed := self.cleaned_data.get(f"new_{name}"):
                setattr(self.instance, name, typed)
        cleaned = self.cleaned_data
        if cleaned.get("authentication") == Authentication.NONE or (
            cleaned.get("username") == "" and not cleaned.get("new_password")
        ):
            self.instance.password = ""
        super()._post_clean()  # type: ignore[misc]

    def _update_errors(self, errors: ValidationError) -> None:
        # What the model says of a secret stands at the field that sets it.
        if hasattr(errors, "error_dict"):
            errors.error_dict = {
                f"new_{name}" if name in SmtpProfile.SECRETS else name: found
                for name, found in errors.error_dict.items()
            }
        super()._update_errors(errors)  # type: ignore[misc]
