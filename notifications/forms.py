"""The console's forms: every refusal stands at the field that mends it."""

from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Model

from events.admin.typed import BaseInlineFormSet, ModelForm

from . import repoint, vet, vet_callout
from .models import Filter, Parameter, Recipient, Subscription
from .models.subscription import STORM_FAULTS
from .tokens import Offer

MOST_PER_MINUTE = 600_000
RATE_FAULT = f"Write a whole number from 1 to {MOST_PER_MINUTE:,}, without separators."


class ResumeForm(forms.Form):
    """How fast what waits for an endpoint or profile may go."""

    class Pace(models.TextChoices):
        AT_ONCE = "at_once", "At once: as fast as its answers allow, with a slow start"
        AT_A_RATE = "at_a_rate", "At a rate, so that it has time for what is new"

    error_css_class = "errors"
    use_required_attribute = False  # the browser's own bubbles would come before our sentences

    pace = forms.ChoiceField(
        label="How fast may it go?",
        choices=Pace.choices,
        initial=Pace.AT_ONCE,
        widget=forms.RadioSelect,
    )
    per_minute = forms.IntegerField(
        label="Deliveries a minute",
        required=False,
        min_value=1,
        max_value=MOST_PER_MINUTE,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "size": 8}),
        help_text=f"With a rate only: 1 to {MOST_PER_MINUTE:,}, for each one resumed; what is new comes after.",
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), RATE_FAULT),
    )
    reason = forms.CharField(
        label="Reason (optional)",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"size": 50, "autocomplete": "off"}),
        help_text="Kept in the audit log.",
    )

    def clean_reason(self) -> str:
        """On one line."""
        return " ".join(self.cleaned_data["reason"].split())

    def clean(self) -> dict[str, Any]:
        """A rate and the choice of one go together."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "per_minute" not in cleaned or "pace" not in cleaned:
            return cleaned
        at_a_rate, rate = cleaned["pace"] == self.Pace.AT_A_RATE, cleaned["per_minute"]
        if at_a_rate and rate is None:
            self.add_error("per_minute", f"{RATE_FAULT} Or choose “At once” above.")
        elif rate is not None and not at_a_rate:
            self.add_error("per_minute", "“At once” is chosen above: empty this, or choose “At a rate”.")
        return cleaned


class SubscriptionForm(ModelForm[Subscription]):
    """A subscription; what it may use is worked out here, for the rows inside it."""

    class Meta:
        model = Subscription
        fields = [
            "subscriber",
            "name",
            "queue",
            "event_types",
            "on_create",
            "on_update",
            "on_delete",
            "endpoint",
            "email_template",
            "profile",
            "allows_opt_out",
            "payload_template",
            "on_failure",
            "retry_seconds",
            "storm_limit",
            "storm_minutes",
            "is_active",
        ]
        help_texts = {
            "subscriber": "Who is told.",
            "name": "What people call it, in lists and logs.",
            "queue": "Where its events come through: in order per account, or not, as its page says. "
            "An event type's page says which queues it flows into.",
            "on_failure": "Whoever skips leaves a gap, of which the receiver is told.",
        }
        error_messages = {
            name: dict.fromkeys(("invalid", "required", "min_value", "max_value"), fault)
            for name, fault in STORM_FAULTS.items()
        }
        widgets = {
            "payload_template": forms.Textarea(
                attrs={"class": "vLargeTextField", "rows": 12, "spellcheck": "false"}
            )
        }

    def clean(self) -> dict[str, Any]:
        """Exactly one destination, and templates that fit."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        draft = Subscription(**{name: value for name, value in cleaned.items() if name != "event_types"})
        try:
            vet.check_destination(draft)
            offered = vet.offer_to(draft, cleaned["event_types"])
            self.instance.offered = offered  # type: ignore[attr-defined]  # for the formsets below
            vet.check_template_of(draft, offered)
        except ValidationError as error:
            self.add_error(None if hasattr(error, "error_dict") else "email_template", error)
            return cleaned
        try:
            vet_callout.check_payload_template(draft, offered)
        except ValidationError as error:
            self.add_error("payload_template", error)
        return cleaned


Part = TypeVar("Part", bound=Model)


class _PartFormSet(BaseInlineFormSet[Part, Subscription, ModelForm[Part]]):
    """Rows of a subscription, checked against what it may use."""

    def clean(self) -> None:
        """Check the rows that stay, once the subscription itself is sound."""
        super().clean()
        offered = getattr(self.instance, "offered", None)
        if offered is None:
            return
        staying = [
            form
            for form in self.forms
            if (form.has_changed() or form.instance.pk) and not form.cleaned_data.get("DELETE")
        ]
        for form in staying:
            if form.errors:
                continue
            try:
                self.check_row(form.instance, offered)
            except ValidationError as error:
                form.add_error(None, error)
        self.check_all([form.instance for form in staying])

    def check_row(self, row: Part, offered: Offer) -> None:
        """Raise a ValidationError by field."""

    def check_all(self, rows: list[Part]) -> None:
        """Raise a ValidationError for the rows as a whole."""


class ParameterFormSet(_PartFormSet[Parameter]):
    """The parameters of a callout."""

    def clean(self) -> None:
        """Check them, and ask again for secrets that another host would get."""
        super().clean()
        if not self.instance.pk:
            return
        typed = {form.instance.name for form in self.forms if "value" in form.changed_data}
        kept = repoint.kept_parameters(self.instance, typed)
        for form in self.forms:
            if form.instance.pk and form.instance.name in kept and not form.cleaned_data.get("DELETE"):
                form.add_error("value", kept[form.instance.name])

    def check_row(self, row: Parameter, offered: Offer) -> None:
        """Legal tokens, sound Liquid, free names."""
        if offered.medium == "webhook":
            vet_callout.check_parameter(row, offered)

    def check_all(self, rows: list[Parameter]) -> None:
        """For webhooks only, none in another's way, and all that the payload template names."""
        vet_callout.check_parameters(self.instance, rows)
        if offered := getattr(self.instance, "offered", None):
            vet_callout.check_payload_template(self.instance, offered, rows)


class FilterFormSet(_PartFormSet[Filter]):
    """The conditions of a subscription."""

    def check_row(self, row: Filter, offered: Offer) -> None:
        """Tokens of the payload."""
        vet.check_filter(row, offered)


class RecipientFormSet(_PartFormSet[Recipient]):
    """Who gets the email."""

    def check_row(self, row: Recipient, offered: Offer) -> None:
        """A token that holds an address."""
        if offered.medium == "email":
            vet.check_recipient(row, offered)

    def check_all(self, rows: list[Recipient]) -> None:
        """For email at least one, for webhooks none."""
        vet.check_medium_of_recipients(self.instance, len(rows))
