"""Say in words what is wrong with a payload, and what would be right."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import ValidationError

# Of several faults of one field, the one that is told first: a wrong type explains the rest.
PRECEDENCE = ["required", "type", "enum", "const", "format"]
KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
FORMATS = {
    "date": "a date: send YYYY-MM-DD, e.g. 2026-11-22",
    "date-time": "a date and time: send RFC 3339 with an offset, e.g. 2026-11-22T14:03:09Z",
    "decimal": 'a decimal: send digits and a point only, without currency or grouping, e.g. "249.00"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaError:
    """One fault of a payload: the field as a JSON Pointer (RFC 6901), and the remedy in words."""

    field: str
    detail: str


def pointer(path: Iterable[str | int]) -> str:
    """Return the JSON Pointer of a path; empty for the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def explain(faults: Iterable[ValidationError]) -> list[SchemaError]:
    """Return one error a field, in the order in which the payload's schema lists them."""
    found: dict[str, tuple[int, SchemaError]] = {}
    for fault in faults:
        rank = PRECEDENCE.index(fault.validator) if fault.validator in PRECEDENCE else len(PRECEDENCE)
        for error in _errors(fault):
            if error.field not in found or rank < found[error.field][0]:
                found[error.field] = (rank, error)
    return [error for _, error in found.values()]


def _errors(fault: ValidationError) -> Iterator[SchemaError]:
    path = list(fault.absolute_path)
    if fault.validator == "required" and isinstance(fault.schema, dict):
        for missing, schema in _missing(path, fault.schema, fault.instance):
            yield SchemaError(
                field=pointer(missing), detail=f"{_name(missing)} is missing: {_wanted(schema)}"
            )
        return
    yield SchemaError(field=pointer(path), detail=_detail(fault, _name(path)))


def _missing(
    path: list[str | int], schema: dict[str, Any], instance: Any
) -> Iterator[tuple[list[str | int], dict[str, Any]]]:
    """Yield what is missing; of a missing object, what it would have to hold."""
    for name in schema["required"]:
        if isinstance(instance, dict) and name in instance:
            continue
        inner = schema.get("properties", {}).get(name)
        inner = inner if isinstance(inner, dict) else {}
        if inner.get("required"):
            yield from _missing([*path, name], inner, None)
        else:
            yield [*path, name], inner


def _detail(fault: ValidationError, name: str) -> str:
    schema = fault.schema if isinstance(fault.schema, dict) else {}
    limit: Any = fault.validator_value
    if fault.validator != "type" and "x-remedy" in schema:
        remedy = f". {schema['x-remedy']}"
    else:
        match fault.validator:
            case "type":
                remedy = f": send {_kinds(limit)}."
            case "enum":
                remedy = f": send one of {', '.join(map(_shown, limit))}."
            case "const":
                remedy = f": send {_shown(limit)}."
            case "format" | "pattern" if schema.get("format") in FORMATS:
                remedy = f", which is not {FORMATS[schema['format']]}."
            case "minLength" if limit == 1:
                remedy = f": {_wanted(schema)}"
            case "minimum":
                remedy = f": send {_shown(limit)} or more."
            case "maximum":
                remedy = f": send {_shown(limit)} or less."
            case _:
                return f"{name} does not fit its schema: {_cut(fault.message, 200)}."
    return f"{name} is {_shown(fault.instance)}{remedy}"


def _name(path: list[str | int]) -> str:
    return ".".join(map(str, path)) or "The payload"


def _kinds(kinds: str | list[str]) -> str:
    names = [KINDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _wanted(schema: dict[str, Any]) -> str:
    wanted = f"send {_kinds(schema['type'])}." if "type" in schema else "send it."
    description = schema.get("description")
    return f"{wanted} {description}" if isinstance(description, str) else wanted


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return _cut(json.dumps(value, ensure_ascii=False, default=str), 60)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
