"""The forms of a trigger: only what fits its source is asked, and a rule that could not work is refused."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events import kinds
from events.models import (
    Trigger,
    TriggerCancellation,
    TriggerCondition,
    TriggerField,
    TriggerPlan,
    TriggerThreshold,
)
from events.triggers import own_type, validate
from events.triggers.conditions import Condition, Operator
from events.triggers.rules import Rule
from events.triggers.thresholds import Measure

from .typed import BaseInlineFormSet, ModelForm, TabularInline

# What built-in kinds report; others are written as they are reported.
SUGGESTED = [token.name for group in own_type.GROUPS.values() for token in group.tokens]


class TriggerForm(ModelForm[Trigger]):
    """A trigger of one source."""

    # Code, label and kind of the event type that is to be made with the rule.
    new_type: tuple[str, str, str] | None = None
    new_code = forms.CharField(
        label="Or a new event type",
        required=False,
        max_length=100,
        help_text="Code of an event type to be made for this rule, such as service.suspended_abroad. "
        "It gets the tokens of the object and of what it belongs to.",
    )
    new_label = forms.CharField(
        label="Its name",
        required=False,
        max_length=100,
        help_text="What people call it, such as Suspended abroad.",
    )

    class Meta:
        model = Trigger
        fields = "__all__"
        widgets = {
            "source": forms.HiddenInput,
            "description": forms.Textarea(attrs={"rows": 2}),
            "match_all": forms.RadioSelect,
            "is_below": forms.RadioSelect,
            "once": forms.RadioSelect,
            "timezone": forms.TextInput(attrs={"placeholder": "the account's own"}),
            "at_time": forms.TimeInput(attrs={"type": "time"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "object_kind" in self.fields:
            choices = [("", "Choose…"), *((code, code.replace("_", " ")) for code in sorted(kinds.read()))]
            field = self.fields["object_kind"]
            self.fields["object_kind"] = forms.ChoiceField(
                label="Kind of object", choices=choices, required=False, help_text=field.help_text
            )
        if "event_type" in self.fields:
            self.fields["event_type"].required = "new_code" not in self.fields

    def clean(self) -> dict[str, Any]:
        """Take one event type: one that is there, or a new one, which is made with the rule."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        code = str(cleaned.get("new_code") or "").strip()
        if code and cleaned.get("event_type"):
            self.add_error("new_code", "Choose an event type or give a new one, not both.")
        elif code:
            label = cleaned.get("new_label") or code.replace(".", " ").replace("_", " ").capitalize()
            self.new_type = (code, label, cleaned.get("object_kind") or "")
            try:
                own_type.draft(*self.new_type)
            except ValidationError as error:
                for name, messages in error.message_dict.items():
                    self.add_error(name if name in self.fields else None, messages)
        elif (
            not cleaned.get("event_type") and "event_type" in self.fields and "event_type" not in self.errors
        ):
            self.add_error("event_type", "Choose the event that is published, or give a new one below.")
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        """A new event type is made when the rule is saved."""
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | ({"event_type"} if self.new_type else set())

    def _post_clean(self) -> None:
        """Check the rule as a whole, once the instance has its values."""
        super()._post_clean()  # type: ignore[misc]
        for name, told in validate.check_row(self.instance).items():
            if name not in self.errors:
                self.add_error(name if name in self.fields else None, told)


class FieldPath(forms.TextInput):
    """A field of an object, with those of the built-in kinds as suggestions."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Write the input and its list of suggestions."""
        known = f"fields-of-{name}"
        written = super().render(name, value, {**(attrs or {}), "list": known}, renderer)
        options = format_html_join("", '<option value="{}"></option>', ((each,) for each in SUGGESTED))
        return format_html('{}<datalist id="{}">{}</datalist>', written, known, options)


class ConditionForm(ModelForm[TriggerCondition]):
    """One condition."""

    class Meta:
        model = TriggerCondition
        fields = "__all__"
        widgets = {"field": FieldPath(attrs={"size": 24})}

    def clean(self) -> dict[str, Any]:
        """Check that it can be judged by a rule of this source."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if {"trigger", "field", "operator"} <= cleaned.keys():
            given = Condition(
                field=cleaned["field"],
                operator=Operator(cleaned["operator"]),
                value=cleaned.get("value", ""),
                value_to=cleaned.get("value_to", ""),
            )
            for name, told in validate.check_condition(cleaned["trigger"], given).items():
                self.add_error(name, told)
        return cleaned


class _Rows(BaseInlineFormSet[Any, Trigger, Any]):
    def kept(self) -> list[Any]:
        """The rows that will be there after the save."""
        return [
            form.instance
            for form in self.forms
            if form.has_changed() | bool(form.instance.pk) and not form.cleaned_data.get("DELETE")
        ]


class ThresholdRows(_Rows):
    """The thresholds as a whole."""

    def clean(self) -> None:
        """There is at least one."""
        super().clean()
        if not any(self.errors) and (told := validate.check_thresholds(self.instance, self.kept())):
            raise ValidationError(told)


class FieldRows(_Rows):
    """The payload as a whole."""

    def clean(self) -> None:
        """An example of the payload passes the event type's schema."""
        super().clean()
        if any(self.errors) or self.instance.event_type_id is None:
            return
        rule = Rule(
            row=self.instance,
            conditions=(),
            measure=Measure(value_path="", thresholds=()),
            fields={row.path: (row.source, row.value) for row in self.kept()},
            plans={},
        )
        if told := validate.check_payload(rule):
            raise ValidationError(told)


class ConditionInline(TabularInline[TriggerCondition, Trigger]):
    """The rows of a trigger's rule."""

    model = TriggerCondition
    form = ConditionForm
    classes = ("record",)
    verbose_name = "condition"
    verbose_name_plural = "Only if: conditions"
    extra = 3
    fields = ["field", "operator", "value", "value_to"]


class ThresholdInline(TabularInline[TriggerThreshold, Trigger]):
    """Its thresholds."""

    model = TriggerThreshold
    formset = ThresholdRows
    verbose_name = "threshold"
    verbose_name_plural = "Thresholds"
    extra = 3


class PlanInline(TabularInline[TriggerPlan, Trigger]):
    """Other days for the objects of a plan."""

    model = TriggerPlan
    verbose_name = "plan"
    verbose_name_plural = "Other days by plan"
    extra = 1


class CancellationInline(TabularInline[TriggerCancellation, Trigger]):
    """What withdraws what waits."""

    model = TriggerCancellation
    verbose_name = "event"
    verbose_name_plural = "Withdrawn when one of these events comes"
    extra = 1
    autocomplete_fields = ["event_type"]


class FieldInline(TabularInline[TriggerField, Trigger]):
    """What is filled otherwise than by itself."""

    model = TriggerField
    formset = FieldRows
    verbose_name = "payload field"
    verbose_name_plural = "Payload: only fields that the rule shall fill otherwise than by itself"
    extra = 1
