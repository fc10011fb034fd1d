"""The console's form of an endpoint. Secrets go in and never come out: an empty field keeps the stored one."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError

from events.admin.typed import BaseInlineFormSet, ModelForm

from . import authentication, repoint
from .models import Endpoint, EndpointHeader
from .rotate import DEFAULT_OVERLAP, LONGEST_OVERLAP, Key

_STORED = "Stored, and never shown. Empty keeps it."
_TYPED = ("password", "bearer_token", "client_secret", "api_key", "client_key")
_OVERLAP_FAULT = f"Write a whole number of hours from 0 to {LONGEST_OVERLAP} (7 days)."


def _secret(name: str, *, rows: int = 0) -> forms.CharField:
    field = Endpoint._meta.get_field(name)
    widget: forms.Widget = forms.PasswordInput(
        render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"}
    )
    if rows:
        widget = _BlankTextarea(
            attrs={"autocomplete": "off", "rows": rows, "cols": 66, "spellcheck": "false"}
        )
    return forms.CharField(
        label=str(field.verbose_name).capitalize().replace("Api", "API"),  # type: ignore[union-attr]
        required=False,
        strip=name != "password",
        widget=widget,
        validators=list(field.validators),  # type: ignore[union-attr]
        help_text=field.help_text,  # type: ignore[union-attr]
    )


class _BlankTextarea(forms.Textarea):
    """Shows nothing of what it was given, after an error neither."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:  # noqa: ARG002
        return super().get_context(name, None, attrs)


class EndpointForm(ModelForm[Endpoint]):
    """An endpoint with secrets that can be set, never read."""

    password = _secret("password")
    bearer_token = _secret("bearer_token")
    client_secret = _secret("client_secret")
    api_key = _secret("api_key")
    client_key = _secret("client_key", rows=6)

    class Meta:
        model = Endpoint
        exclude = [*Endpoint.SECRETS]  # the fields above stand in for them
        widgets = {
            "base_url": AdminTextInputWidget(),
            "path": AdminTextInputWidget(),
            "token_url": AdminTextInputWidget(),
            "scope": AdminTextInputWidget(),
            "audience": AdminTextInputWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            for name in authentication.stored(self.instance, _TYPED):
                if name in self.fields:
                    self.fields[name].help_text = f"{_STORED} {self.fields[name].help_text}"

    def clean(self) -> dict[str, Any]:
        """Take over the secrets that were typed."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in _TYPED:
            if cleaned.get(name):
                setattr(self.instance, name, cleaned[name])
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        # What Authorization needs is said at the fields below, instead of by the table's constraint.
        return super()._get_validation_exclusions() | {"authorization"}  # type: ignore[misc,no-any-return]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        given = {name: self.cleaned_data.get(name) for name in self.changed_data}
        try:
            authentication.refuse_unused(given, self.instance)
            for name, empty in authentication.unused(self.instance).items():
                setattr(self.instance, name, empty)
            if self.instance.pk and (kept := repoint.kept_secrets(self.instance, self.changed_data)):
                raise ValidationError(kept)
            authentication.check(self.instance)
        except ValidationError as error:
            for name, faults in error.error_dict.items():
                if name not in self.errors:
                    self.add_error(name, faults)


class EndpointHeaderForm(ModelForm[EndpointHeader]):
    """A header; the value of a secret one is never shown."""

    value = forms.CharField(
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="A stored secret is not shown; empty keeps it.",
    )

    class Meta:
        model = EndpointHeader
        fields = ["name", "value", "is_secret"]

    def clean(self) -> dict[str, Any]:
        """A value in clear, or a secret one, and never both."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        typed, is_secret = cleaned.get("value", ""), cleaned.get("is_secret", False)
        was_secret = (
            bool(self.instance.pk)
            and EndpointHeader.objects.filter(pk=self.instance.pk, is_secret=True).exists()
        )
        if not typed and not (is_secret and was_secret):
            told = "Type the value again: a stored secret is not turned into a value that is shown."
            self.add_error("value", told if was_secret else "Type the value of this header.")
        if is_secret:
            cleaned["value"] = ""
            if typed:
                self.instance.secret_value = typed
        elif typed:
            self.instance.secret_value = ""
        return cleaned


class EndpointHeaderFormSet(BaseInlineFormSet[EndpointHeader, Endpoint, ModelForm[EndpointHeader]]):
    """The headers of an endpoint, checked against what else it sends."""

    def clean(self) -> None:
        """Say at each row what is wrong with its name."""
        super().clean()
        staying = [
            form
            for form in self.forms
            if (form.has_changed() or form.instance.pk)
            and not form.cleaned_data.get("DELETE")
            and not form.errors
        ]
        faults = authentication.faults_of_headers(self.instance, [form.instance for form in staying])
        faults |= authentication.clashes_with_parameters(self.instance, [form.instance for form in staying])
        untyped = [form.instance for form in staying if form.instance.pk and "value" not in form.changed_data]
        if self.instance.pk:
            kept = repoint.kept_headers(self.instance, untyped)
            for form in staying:
                if form.instance.name in kept:
                    form.add_error("value", kept[form.instance.name])
        for form in staying:
            if fault := faults.get(form.instance.name):
                form.add_error("name", fault)


class RotateForm(forms.Form):
    """What is rotated, and for how long the old one signs too."""

    error_css_class = "errors"
    use_required_attribute = False  # the browser's own bubbles would come before our sentences

    key = forms.ChoiceField(
        label="What is replaced?", choices=Key.choices, initial=Key.SECRET, widget=forms.RadioSelect
    )
    overlap_hours = forms.IntegerField(
        label="Hours in which the old one signs too",
        initial=DEFAULT_OVERLAP,
        min_value=0,
        max_value=LONGEST_OVERLAP,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "size": 8}),
        help_text=f"0 to {LONGEST_OVERLAP}. In that time the receiver takes over the new one; 0: at once, "
        "as after a leak.",
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), _OVERLAP_FAULT),
    )
    reason = forms.CharField(
        label="Reason (optional)",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"size": 50, "autocomplete": "off"}),
        help_text="Kept in the audit log.",
    )


class RevealForm(forms.Form):
    """Why a secret is shown."""

    error_css_class = "errors"
    use_required_attribute = False

    reason = forms.CharField(
        max_length=500,
        widget=forms.TextInput(attrs={"size": 50, "autocomplete": "off"}),
        help_text="Kept in the audit log, with your name and the time.",
        error_messages={"required": "Say why; it is kept in the audit log."},
    )
