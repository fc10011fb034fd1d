"""Check an event's payload against the JSON Schema (draft 2020-12) of its event type.

Nothing is ever fetched: a schema may refer to its own parts only.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache, partial
from itertools import islice
from typing import Any

import referencing.exceptions
from django.core.exceptions import ValidationError
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

from . import catalog
from .accept import Accepts, compile_schema
from .explain import SchemaError, explain, pointer

__all__ = ["Checker", "InvalidSchemaError", "SchemaError", "check_schema", "checker", "errors"]

# A payload with more faults than this is not the schema's to explain one by one.
MOST_ERRORS = 50
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class InvalidSchemaError(ValidationError):
    """A schema that cannot be used to check payloads; the message names the place and the remedy."""


def is_date(value: object) -> bool:
    """Whether a text is a calendar date, YYYY-MM-DD (other types pass)."""
    if not isinstance(value, str):
        return True
    # fromisoformat alone would also take 20261122 and 2026-W47-7.
    return DATE.fullmatch(value) is not None and _parses(date, value)


def is_datetime(value: object) -> bool:
    """Whether a text is an RFC 3339 date-time with its offset (other types pass; no leap seconds)."""
    if not isinstance(value, str):
        return True
    return DATETIME.fullmatch(value) is not None and _parses(datetime, value.upper())


def is_decimal(value: object) -> bool:
    """Whether a text is a plain decimal such as 249.00, or a number is finite (other types pass)."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, str) or DECIMAL.fullmatch(value) is not None


def _parses(kind: type[date], text: str) -> bool:
    try:
        kind.fromisoformat(text)
    except ValueError:
        return False
    return True


FORMATS = FormatChecker(formats=["email", "ipv4", "ipv6", "regex", "uuid"])
OWN_FORMATS: dict[str, Accepts] = {"date": is_date, "date-time": is_datetime, "decimal": is_decimal}
for _name, _accepts in OWN_FORMATS.items():
    FORMATS.checks(_name)(_accepts)
QUICK_FORMATS: dict[str, Accepts] = {
    name: OWN_FORMATS.get(name) or partial(FORMATS.conforms, format=name) for name in FORMATS.checkers
}


@dataclass(frozen=True, slots=True)
class Checker:
    """A compiled schema; keep it for as long as payloads of one event type are checked."""

    validator: Draft202012Validator
    accepts: Accepts | None

    def errors(self, data: Any) -> list[SchemaError]:
        """Return what is wrong with the payload, one error a field; nothing if it is valid."""
        if self.accepts is not None and self.accepts(data):
            return []
        try:
            found = list(islice(self.validator.iter_errors(data), MOST_ERRORS))
        except RecursionError:
            return [SchemaError(field="", detail="The payload is nested too deeply: flatten it.")]
        return explain(found)


def errors(event_type_code_or_schema: str | Mapping[str, Any], data: Any) -> list[SchemaError]:
    """Return what is wrong with a payload, by a built-in event type's code or by a schema."""
    if isinstance(event_type_code_or_schema, str):
        return _builtin(event_type_code_or_schema).errors(data)
    return checker(event_type_code_or_schema).errors(data)


def checker(schema: Mapping[str, Any]) -> Checker:
    """Return the compiled schema (compiled once for each content), or raise InvalidSchemaError."""
    try:
        text = json.dumps(schema, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSchemaError(f"The schema is not JSON: {error}") from error
    return _compiled(text)


def check_schema(schema: Any) -> None:
    """Raise InvalidSchemaError unless payloads can be checked by the schema; serves as a field validator."""
    if not isinstance(schema, Mapping):
        raise InvalidSchemaError('A schema is a JSON object, e.g. {"type": "object"}.')
    checker(schema)


@cache
def _builtin(code: str) -> Checker:
    if code not in catalog.BY_CODE:
        raise LookupError(f"{code} is not a built-in event type: pass the schema of its row.")
    return checker(catalog.schema(catalog.BY_CODE[code]))


@lru_cache(maxsize=512)
def _compiled(text: str) -> Checker:
    schema = json.loads(text)
    try:
        _check_against_meta_schema(schema, "")
        _check_references(schema)
        validator = Draft202012Validator(schema, format_checker=FORMATS, registry=EMPTY_REGISTRY)
        # A reference that leads only to itself never ends, whatever the payload.
        validator.is_valid({})
        return Checker(validator, compile_schema(schema, QUICK_FORMATS))
    except RecursionError as error:
        raise InvalidSchemaError(
            "The schema refers to itself without end, or is nested too deeply."
        ) from error


def _check_against_meta_schema(schema: Any, place: str) -> None:
    validator = Draft202012Validator(
        Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    if fault := best_match(validator.iter_errors(schema)):
        where = (place + pointer(fault.absolute_path)).strip() or "its top"
        raise InvalidSchemaError(f"The schema is not valid at {where}: {fault.message[:200]}.")


def _check_references(schema: dict[str, Any]) -> None:
    root = DRAFT202012.create_resource(schema)
    waiting = [(root, EMPTY_REGISTRY.resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        contents = resource.contents
        if isinstance(contents, Mapping):
            dialect = contents.get("$schema", catalog.DIALECT)
            if str(dialect).rstrip("#") != catalog.DIALECT:
                raise InvalidSchemaError(f"The schema says it is {dialect}: write it as {catalog.DIALECT}.")
            for keyword in ("$ref", "$dynamicRef"):
                if keyword in contents:
                    _check_reference(contents[keyword], resolver)
        waiting += [(each, resolver.in_subresource(each)) for each in resource.subresources()]


def _check_reference(reference: str, resolver: Any) -> None:
    try:
        found = resolver.lookup(reference)
    except (referencing.exceptions.Unresolvable, ValueError) as error:
        raise InvalidSchemaError(
            f"The schema refers to {reference}, which it does not hold, and nothing is ever fetched: "
            'put that part under "$defs" and refer to it as "#/$defs/…".'
        ) from error
    _check_against_meta_schema(found.contents, f"{reference} ")
