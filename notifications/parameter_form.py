"""The console's form of one parameter: a secret goes in and never comes out again."""

from typing import Any

from django import forms

from events.admin.typed import ModelForm

from .models import Parameter


class _ValueInput(forms.TextInput):
    """A text that is left out of the page while it may be a secret."""

    is_secret = False

    def format_value(self, value: Any) -> str | None:
        """Nothing of a secret, not even of the one just typed in."""
        return None if self.is_secret else super().format_value(value)


class ParameterForm(ModelForm[Parameter]):
    """A parameter, in one row."""

    class Meta:
        model = Parameter
        fields = ["name", "source", "value", "is_secret", "placement", "if_missing", "default_value"]
        widgets = {
            "name": forms.TextInput(attrs={"size": 14}),
            "value": _ValueInput(attrs={"size": 34, "autocomplete": "off", "spellcheck": "false"}),
            "default_value": forms.TextInput(attrs={"size": 10}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["if_missing"].required = False
        widget = self.fields["value"].widget
        if isinstance(widget, _ValueInput):
            widget.is_secret = bool(self["is_secret"].value())
            if self.instance.pk and self.instance.is_secret:
                widget.attrs["placeholder"] = "stored; leave empty to keep it"
            elif widget.is_secret:
                widget.attrs["placeholder"] = "write the secret again"

    def clean_if_missing(self) -> str:
        """Not chosen, it is as it would be in a new row."""
        return self.cleaned_data["if_missing"] or Parameter.IfMissing.EMPTY.value
