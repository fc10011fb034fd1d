"""Having it written down what people change by the console's forms: each field, what it was and what it is.

1. A value is only told where the model keeps it in the clear: what is encrypted, typed into a password field,
   known to the form alone, or on a row that is marked as secret, is told as changed and never shown.
2. It is told in the transaction of the change, so that neither is there without the other.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst

from .audit import operator_acted
from .typed import ModelAdmin

M = TypeVar("M", bound=Model)
Change = list[str]  # field, what it was, what it is

LONGEST = 300
MOST_NAMES = 20
MASK = "•••"
NOTHING = "—"
# On a row that says so of itself, every text is a secret.
_SECRET_ROW = "is_secret"  # noqa: S105 - the name of a field


class Audited(ModelAdmin[M]):
    """A page whose additions, changes and deletions are in the audit log."""

    # Off where the page tells of its edits itself, in its own words.
    audits_edits = True

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Keep what differs for the log, beside Django's own words for it."""
        request.changes = changes_of(form, formsets or ())  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Tell of a new row."""
        self._tell(request, "create", [obj])
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Tell of a changed row; a form that was saved unchanged is no news."""
        if getattr(request, "changes", None) or isinstance(message, str):
            self._tell(request, "update", [obj], reason=message if isinstance(message, str) else "")
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Tell of the rows that are about to go."""
        self._tell(request, "delete", list(queryset))
        return super().log_deletions(request, queryset)

    def _tell(self, request: HttpRequest, verb: str, rows: Sequence[Any], reason: str = "") -> None:
        if not self.audits_edits:
            return
        kind = str(self.opts.model_name)
        operator_acted.send(
            self.model,
            actor=request.user,
            action=f"{kind}.{verb}",
            subjects=[f"{kind} {row.pk}" for row in rows],
            reason=reason,
            changes=getattr(request, "changes", []),
        )


def changes_of(form: Any, formsets: Iterable[Any]) -> list[Change]:
    """Return what a form and the rows inside it change, without a secret."""
    found = _form_changes(form)
    for formset in formsets:
        noun = str(formset.model._meta.verbose_name)
        by_row = {id(each.instance): each for each in formset.forms}
        for row in formset.new_objects:
            told = "; ".join(f"{label} {new}" for label, _, new in _form_changes(by_row[id(row)]))
            found.append([f"{noun} {row}", NOTHING, told or "added"])
        for row, _ in formset.changed_objects:
            found += [[f"{noun} {row}, {label}", *both] for label, *both in _form_changes(by_row[id(row)])]
        found += [[f"{noun} {row}", "was there", "deleted"] for row in formset.deleted_objects]
    return found


def _form_changes(form: Any) -> list[Change]:
    found = []
    for name in form.changed_data:
        field = form.fields.get(name)
        if name == "DELETE" or (field and field.widget.is_hidden):
            continue
        label = str((field and field.label) or capfirst(name.replace("_", " ")))
        # A form may name a change that is no field of its own, as that of a password does.
        if field is None or _is_secret(form, name):
            found.append([label, MASK, MASK])
            continue
        old, new = (
            shown(field, value)
            for value in (form.get_initial_for_field(field, name), form.cleaned_data.get(name))
        )
        if old != new:
            found.append([label, old, new])
    return found


def _is_secret(form: Any, name: str) -> bool:
    """Tell whether a value must not be seen; what nobody vouches for is a secret."""
    field = form.fields[name]
    if isinstance(field.widget, forms.PasswordInput) or "password" in name:
        return True
    try:
        stored = form._meta.model._meta.get_field(name)
    except FieldDoesNotExist:
        return not isinstance(field, forms.BooleanField | forms.ChoiceField | forms.ModelChoiceField)
    if getattr(stored, _SECRET_ROW, False):
        return True
    marked = getattr(form.instance, _SECRET_ROW, False) or form.initial.get(_SECRET_ROW, False)
    return bool(marked) and isinstance(field, forms.CharField) and name != "name"


def shown(field: Any, value: Any) -> str:
    """Return a value of a form's field as people read it, cut."""
    if value in (None, "", []):
        return NOTHING
    if isinstance(field, forms.ModelChoiceField) and not isinstance(value, Model | QuerySet | list):
        rows: Any = field.queryset
        named = rows.filter(**{field.to_field_name or "pk": value}).first()
        return _cut(str(named or value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | QuerySet):
        names = sorted(str(each) for each in value)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        return _cut(", ".join(names[:MOST_NAMES]) + more) or NOTHING
    if isinstance(field, forms.ChoiceField):
        choices: Any = field.choices
        value = dict(choices).get(value, value)
    return _cut(" ".join(str(value).split()))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
