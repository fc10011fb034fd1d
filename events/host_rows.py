"""What an instance of a host's model says of its billing object."""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import models

Read = Callable[[Any], Any]

_KIND = re.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the state: where it goes, and the field or function it comes from."""

    path: str
    attribute: str = ""
    field: "models.Field[Any, Any] | None" = None
    function: Read | None = None

    def is_among(self, names: Collection[str]) -> bool:
        """Whether a save of these fields may have changed it."""
        return self.field is None or self.field.name in names or self.field.attname in names


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """How a model is followed: as which kind, by which id, with which members."""

    model: type[models.Model]
    kind: str
    id_field: str
    members: tuple[Member, ...]

    def external_id(self, instance: models.Model) -> str:
        """Return the id that reports of the instance carry."""
        return str(getattr(instance, self.id_field))

    def state(
        self, instance: models.Model, *, saved: Collection[str] | None = None, using: str | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Return the state, and whether some members are missing: not loaded, or not among the `saved` fields.

        One SELECT where a field was saved as an expression, whose value only the database knows; else none.
        """
        deferred = instance.get_deferred_fields()
        members = [
            each
            for each in self.members
            if (saved is None or each.is_among(saved))
            and (not each.field or each.field.attname not in deferred)
        ]
        unknown = [each.field.attname for each in members if each.field and _is_unknown(instance, each.field)]
        fresh: Mapping[str, Any] = {}
        if unknown:
            rows = self.model._base_manager.using(using or instance._state.db).filter(pk=instance.pk)
            fresh = rows.values(*unknown).first() or {}
        state: dict[str, Any] = {}
        for each in members:
            _place(state, each.path, _value(instance, each, fresh))
        return state, len(members) < len(self.members)


def tracked(
    model: type[models.Model],
    *,
    kind: str,
    fields: Sequence[str] | Mapping[str, str | Read],
    id_field: str,
    parents: Mapping[str, str | Read],
) -> Tracked:
    """Return how the model is followed; raise ImproperlyConfigured, naming what is wrong and what there is."""
    if not _KIND.fullmatch(kind):
        raise ImproperlyConfigured(
            f"events.track({model._meta.label}, as_={kind!r}): write the kind in lower-case letters, digits and "
            "underscores, such as bill_run."
        )
    named = dict(fields) if isinstance(fields, Mapping) else {name: name for name in fields}
    named |= {f"{code}.id": source for code, source in parents.items()}
    members = tuple(_member(model, path, source) for path, source in named.items())
    if id_field != "pk":
        _member(model, "id", id_field)
    return Tracked(model=model, kind=kind, id_field=id_field, members=members)


def _member(model: type[models.Model], path: str, source: str | Read) -> Member:
    if callable(source):
        return Member(path=path, function=source)
    try:
        field = model._meta.pk if source == "pk" else model._meta.get_field(source)
    except FieldDoesNotExist:
        by_column = {each.attname: each for each in model._meta.concrete_fields}
        if source in by_column:
            return Member(path=path, attribute=source, field=by_column[source])
        if hasattr(model, source):
            return Member(path=path, attribute=source)
        known = [each.name for each in model._meta.concrete_fields]
        near = difflib.get_close_matches(source, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ImproperlyConfigured(
            f"events.track({model._meta.label}): there is no field {source!r}.{hint} There are: {', '.join(known)}."
        ) from None
    if not isinstance(field, models.Field) or not field.concrete or field.many_to_many:
        raise ImproperlyConfigured(
            f"events.track({model._meta.label}): {source!r} leads to many rows; an object's state has single values."
        )
    return Member(path=path, attribute=field.attname, field=field)


def _is_unknown(instance: models.Model, field: "models.Field[Any, Any]") -> bool:
    # A generated column is as it was loaded, until it is read again.
    return field.generated or hasattr(instance.__dict__.get(field.attname), "resolve_expression")


def _value(instance: models.Model, member: Member, fresh: Mapping[str, Any]) -> Any:
    if member.function:
        return _plain(member.function(instance))
    if member.field is None:
        return _plain(getattr(instance, member.attribute))
    if member.attribute in fresh:
        return _plain(fresh[member.attribute])
    value = getattr(instance, member.attribute)
    # What was assigned may be the text of a number or a date, and is read back as the thing itself.
    return _plain(member.field.to_python(value) if not member.field.is_relation else value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, models.Model):
        return value.pk
    if isinstance(value, models.fields.files.FieldFile):
        return value.name
    return value


def _place(state: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        below = state.setdefault(name, {})
        if not isinstance(below, dict):
            below = state[name] = {"id": below}
        state = below
    state[last] = value


def steps(model: type[models.Model]) -> Iterator[type[models.Model]]:
    """Yield the model and what inherits from it: proxies and children send signals of their own."""
    yield model
    for below in model.__subclasses__():
        yield from steps(below)
