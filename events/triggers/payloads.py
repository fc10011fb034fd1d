"""Fill an event's payload: its schema says which fields there are, the rule and its objects what is in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from events import catalog_cache, payload
from events.models import EventType, TriggerField

from .conditions import State

Source = TriggerField.Source


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a payload is made of.

    `states` are the object and its parents by kind, `previous` the object before the change, `computed` what
    the rule works out, by payload field; `fallbacks` fill what nothing else fills; `base` is the payload of
    the event that caused it.
    """

    kind: str
    states: Mapping[str, State]
    previous: State | None = None
    computed: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: Mapping[str, Any] = field(default_factory=dict)
    base: State = field(default_factory=dict)


def build(event_type: EventType, fields: Mapping[str, tuple[str, str]], material: Material) -> dict[str, Any]:
    """Return the payload; what has no value is left out."""
    result: dict[str, Any] = {}
    for path in paths(event_type, material, fields):
        value = fill(path, fields, material)
        if value is not None:
            _put(result, path, value)
    return result


def fill(path: str, fields: Mapping[str, tuple[str, str]], material: Material) -> Any:
    """Return the value of one payload field; None if it has none."""
    if path in fields:
        return _from_row(*fields[path], material)
    if material.computed.get(path) is not None:
        return material.computed[path]
    head, _, rest = path.partition(".")
    for value in (
        payload.lookup(material.states.get(head) or {}, rest) if rest else None,
        payload.lookup(material.base, path),
        payload.lookup(material.states.get(material.kind) or {}, path) if head != material.kind else None,
        material.fallbacks.get(path),
    ):
        if value is not None:
            return value
    return None


def origin(path: str, fields: Mapping[str, tuple[str, str]], material: Material) -> str:
    """Return in words from where a payload field is filled."""
    if path in fields:
        source, value = fields[path]
        return f"{Source(source).label}: {value}"
    if material.computed.get(path) is not None:
        return "Computed by the rule"
    head, _, rest = path.partition(".")
    if rest and payload.lookup(material.states.get(head) or {}, rest) is not None:
        return f"{head.capitalize()}: {rest}"
    if payload.lookup(material.base, path) is not None:
        return "The event that starts it"
    return "The object" if fill(path, fields, material) is not None else "Nothing yet"


def paths(
    event_type: EventType, material: Material | None = None, fields: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the fields that a payload of the type has, the rule's own rows among them.

    A type without a schema takes everything that there is.
    """
    found = list(_leaves(catalog_cache.get(event_type.pk).schema, ""))
    if not found and material is not None:
        found = [
            *(f"{kind}.{name}" for kind, state in material.states.items() for name in state),
            *material.computed,
            *material.base,
        ]
    elif (
        material is not None
        and not event_type.is_builtin
        and not any(each.startswith(f"{material.kind}.") for each in found)
    ):
        # A type of an administrator's own carries its object even where its schema does not speak of it.
        found += [f"{material.kind}.{name}" for name in material.states.get(material.kind) or {}]
    return list(dict.fromkeys([*found, *(fields or {})]))


def _leaves(schema: Any, place: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        if place:
            yield place
        return
    for name, inner in properties.items():
        yield from _leaves(inner, f"{place}.{name}" if place else name)


def _from_row(source: str, value: str, material: Material) -> Any:
    if source == Source.STATIC:
        return value
    if source == Source.COMPUTED:
        return material.computed.get(value)
    head, _, rest = value.partition(".")
    if source == Source.PREVIOUS:
        own = rest if head == material.kind and rest else value
        return payload.lookup(material.previous or {}, own)
    own_state = material.states.get(material.kind) or {}
    for found in (
        payload.lookup(material.states.get(head) or {}, rest) if rest else None,
        payload.lookup(own_state, value),
        payload.lookup(material.base, value),
    ):
        if found is not None:
            return found
    return None


def _put(result: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    place = result
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            return  # a field that is filled as a whole needs no parts
        place = inner
    place.setdefault(name, value)
