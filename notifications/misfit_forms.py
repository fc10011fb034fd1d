"""The event type's page: an edit of tokens that rows use is refused once, with what would no longer fit."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction

from events.admin.catalog import EventTypeForm, TokenInline
from events.admin.typed import BaseInlineFormSet, ModelForm
from events.models import EventType, Token

from . import misfits

_TRIED = ("resource", "operation", "sample")


class CheckedEventTypeForm(EventTypeForm):
    """An event type; a person may save it although rows no longer fit."""

    saves_anyway = forms.BooleanField(
        label="Save although rows no longer fit",
        required=False,
        help_text="They stay as they are and are listed as needing attention; what they send of a token that is gone "
        "follows the choice for missing values.",
    )


class TokenFormSet(BaseInlineFormSet[Token, EventType, ModelForm[Token]]):
    """The tokens of an event type, tried on what uses them before they are saved."""

    def clean(self) -> None:
        """Refuse what breaks a row that fits now, unless a person wants it so."""
        super().clean()
        is_wanted = bool(self.data.get("saves_anyway"))
        if self.instance.pk is None or is_wanted or any(self.errors) or not self.has_changed():
            return
        before = misfits.find([self.instance])
        after = self._tried()
        broken = {
            row: new
            for row, faults in after.items()
            if (new := [f for f in faults if f not in before.get(row, [])])
        }
        if broken:
            raise ValidationError(
                [
                    *misfits.told(broken),
                    "With these tokens the rows above no longer fit. Mend them first, or tick “Save although rows no "
                    "longer fit” at the end of this page.",
                ]
            )

    def _tried(self) -> dict[misfits.Row, list[str]]:
        """Return what would not fit, with the tokens as they are in the form; nothing stays of it."""
        try:
            with transaction.atomic():
                tried = {name: getattr(self.instance, name) for name in _TRIED}
                EventType.objects.filter(pk=self.instance.pk).update(**tried)
                for form in self.forms:
                    self._try(form)
                found = misfits.find([EventType.objects.get(pk=self.instance.pk)])
                transaction.set_rollback(True)
        except DatabaseError:
            return {}  # a name that is given twice is told elsewhere
        return found

    def _try(self, form: Any) -> None:
        names = [str(name) for name in TokenInline.fields or ()]
        given: dict[str, Any] = {name: form.cleaned_data[name] for name in names if name in form.cleaned_data}
        saved = Token.objects.filter(pk=form.instance.pk or 0)
        if form.cleaned_data.get("DELETE"):
            saved.delete()
        elif form.instance.pk:
            saved.update(**given)
        elif form.has_changed():
            Token.objects.create(event_type_id=self.instance.pk, **given)
