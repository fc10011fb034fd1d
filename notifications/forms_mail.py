"""The console's forms for mail: templates with their languages, layouts, partials."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from events.admin.typed import BaseInlineFormSet, ModelForm

from . import vet_mail
from .models import EmailLayout, EmailPartial, EmailTemplate, EmailVariant

WORDING = {
    "subject": forms.TextInput(attrs={"class": "vLargeTextField"}),
    "preheader": forms.TextInput(attrs={"class": "vLargeTextField"}),
    "text": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 14, "spellcheck": "true"}),
    "html": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 14, "spellcheck": "false"}),
}


class EmailTemplateForm(ModelForm[EmailTemplate]):
    """A template; its tokens are checked with those of its languages, in the formset below."""

    class Meta:
        model = EmailTemplate
        fields = ["name", "event_types", "layout", "locale", "subject", "preheader", "text", "html"]
        widgets = WORDING

    def clean(self) -> dict[str, Any]:
        """Check what is in the template itself against the event types chosen with it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            draft = EmailTemplate(
                pk=self.instance.pk,
                **{name: value for name, value in cleaned.items() if name != "event_types"},
            )
            self.instance.drafted = (draft, cleaned["event_types"])  # type: ignore[attr-defined]  # for the formset
            try:
                vet_mail.check_template(draft, event_types=cleaned["event_types"], variants=[])
            except ValidationError as error:
                self.add_error(None, error)
                # What was refused is not missing, which the model would say of it besides.
                self.instance.text, self.instance.html = draft.text, draft.html
        return cleaned


class EmailVariantForm(ModelForm[EmailVariant]):
    """The words of one language."""

    class Meta:
        model = EmailVariant
        fields = ["locale", "subject", "preheader", "text", "html"]
        widgets = WORDING


class EmailVariantFormSet(BaseInlineFormSet[EmailVariant, EmailTemplate, ModelForm[EmailVariant]]):
    """The other languages of a template, each checked as it is rendered."""

    def clean(self) -> None:
        """Check each against the event types of the template, once that is sound."""
        super().clean()
        drafted = getattr(self.instance, "drafted", None)
        if drafted is None:
            return
        draft, event_types = drafted
        for form in self.forms:
            if form.errors or form.cleaned_data.get("DELETE") or not (form.has_changed() or form.instance.pk):
                continue
            if form.instance.locale == draft.locale:
                form.add_error(
                    "locale", "That is the locale of the template's own words above. Name another."
                )
            for field, messages in vet_mail.variant_faults(draft, form.instance, event_types).items():
                form.add_error(field, ValidationError(messages))


class EmailLayoutForm(ModelForm[EmailLayout]):
    """A layout with which every template that has it still works."""

    class Meta:
        model = EmailLayout
        fields = ["name", "html", "text"]
        widgets = {name: WORDING[name] for name in ("html", "text")}

    def clean(self) -> dict[str, Any]:
        """Try it with the templates that have it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            _try(self, lambda: vet_mail.check_layout(EmailLayout(pk=self.instance.pk, **cleaned)))
        return cleaned


class EmailPartialForm(ModelForm[EmailPartial]):
    """A partial with which every template that names it still works."""

    class Meta:
        model = EmailPartial
        fields = ["name", "html", "text"]
        widgets = {name: WORDING[name] for name in ("html", "text")}

    def clean(self) -> dict[str, Any]:
        """Try it with all templates."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            _try(self, lambda: vet_mail.check_partial(EmailPartial(pk=self.instance.pk, **cleaned)))
        return cleaned


def _try(form: forms.BaseForm, check: Callable[[], None]) -> None:
    try:
        check()
    except ValidationError as error:
        form.add_error(None, error)
