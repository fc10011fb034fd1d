"""Derive from an event type's tokens its sample payload and its JSON Schema (draft 2020-12).

The schema accepts what billing systems really send: more properties than we know anywhere, ids as text or
whole numbers, money as decimal text or a number, and null for every optional value.
"""

from typing import Any

from .types import EventTypeSpec, Kind, Only, TokenSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"
# JSON Schema's own "time" format demands an offset; a wall clock's time in an account's zone has none.
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"

# The format "decimal" is ours: it says the same as the pattern, which is there for other validators.
SHAPES: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": ["string"]},
    Kind.INTEGER: {"type": ["integer"]},
    Kind.DECIMAL: {"type": ["string", "number"], "format": "decimal", "pattern": DECIMAL_PATTERN},
    Kind.BOOLEAN: {"type": ["boolean"]},
    Kind.DATE: {"type": ["string"], "format": "date"},
    Kind.TIME: {"type": ["string"], "pattern": TIME_PATTERN, "x-remedy": "Send a time of day, e.g. 09:00."},
    Kind.DATETIME: {"type": ["string"], "format": "date-time"},
    Kind.LIST: {"type": ["array"]},
    Kind.OBJECT: {"type": ["object"]},
}


def sample(spec: EventTypeSpec) -> dict[str, Any]:
    """Return a realistic payload: token `invoice.total` is at `["invoice"]["total"]`."""
    payload: dict[str, Any] = {}
    for each in spec.payload_tokens:
        *parents, name = each.path
        place = payload
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = each.value
    return payload


def schema(spec: EventTypeSpec) -> dict[str, Any]:
    """Return the JSON Schema of the event type's payload."""
    required = {spec.ordering_path, *spec.required}
    root: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": f"urn:bellwether:event:{spec.code}",
        "title": spec.label,
        "description": spec.description,
        "type": "object",
        "properties": {},
    }
    for each in spec.payload_tokens:
        *parents, name = each.path
        is_required = each.name in required
        place = root
        for parent in parents:
            if is_required:
                _require(place, parent)
            place = place["properties"].setdefault(parent, {"type": ["object", "null"], "properties": {}})
            if is_required:
                place["type"] = "object"
        if is_required:
            _require(place, name)
        place["properties"][name] = _property(each, is_required=is_required, only=spec.only.get(each.name))
    return root


def _require(place: dict[str, Any], name: str) -> None:
    names = place.setdefault("required", [])
    if name not in names:
        names.append(name)


def _property(spec: TokenSpec, *, is_required: bool, only: Only | None) -> dict[str, Any]:
    shape: dict[str, Any] = {"description": spec.description, **SHAPES[spec.kind]}
    kinds: list[str] = list(shape["type"])
    if spec.is_identifier:
        kinds.append("integer")
    if is_required and "string" in kinds:
        shape["minLength"] = 1
    if not is_required:
        kinds.append("null")
    shape["type"] = kinds if len(kinds) > 1 else kinds[0]
    if spec.choices:
        shape["enum"] = [*spec.choices] if is_required else [*spec.choices, None]
    if spec.minimum is not None:
        shape["minimum"] = spec.minimum
    if spec.maximum is not None:
        shape["maximum"] = spec.maximum
    if only:
        # Null says nothing about it, so it contradicts nothing.
        shape["enum"] = [only.value, None]
        shape["x-remedy"] = only.remedy
    return shape
