"""Accept quickly what a JSON Schema plainly allows.

jsonschema costs hundreds of microseconds for a payload of fifty values, a batch has a thousand payloads, and
nearly all of them are right. So a schema made of plain keywords is compiled into a predicate that may only
err on the side of "not sure": what it accepts is valid, and whatever it does not accept goes to jsonschema,
which has the last word and the explanations. tests/events/test_schema.py compares the two.
"""

import re
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

Accepts = Callable[[Any], bool]

ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "examples", "default", "x-remedy"}
ASSERTIONS = {
    "type",
    "enum",
    "minLength",
    "minimum",
    "maximum",
    "pattern",
    "format",
    "properties",
    "required",
}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (NoneType,),
}


def compile_schema(schema: object, formats: Mapping[str, Accepts]) -> Accepts | None:
    """Return a predicate that is true only of valid values, or None where a keyword is beyond it."""
    if not isinstance(schema, dict) or not schema.keys() <= ANNOTATIONS | ASSERTIONS:
        return None
    allowed = _types(schema)
    # Without a type, each keyword speaks of its own type only: leave that to jsonschema.
    if allowed is None:
        return None
    checks = _checks(schema, formats)
    if dict in allowed and ("properties" in schema or "required" in schema):
        contents = _contents(schema, formats)
        if contents is None:
            return None
        checks.append(contents)
    if not checks:
        return lambda value: type(value) in allowed
    if len(checks) == 1:
        only = checks[0]
        return lambda value: type(value) in allowed and only(value)
    return lambda value: type(value) in allowed and all(check(value) for check in checks)


def _types(schema: dict[str, Any]) -> frozenset[type] | None:
    names = schema.get("type")
    if names is None:
        return None
    return frozenset(each for name in ([names] if isinstance(names, str) else names) for each in TYPES[name])


def _checks(schema: dict[str, Any], formats: Mapping[str, Accepts]) -> list[Accepts]:
    checks: list[Accepts] = []
    if "enum" in schema:
        # By type too: True equals 1 in Python, and not in JSON.
        choices = {(type(each), each) for each in schema["enum"] if isinstance(each, str | int | NoneType)}
        checks.append(lambda value: value.__hash__ is not None and (type(value), value) in choices)
    if "minLength" in schema:
        shortest = schema["minLength"]
        checks.append(lambda value: type(value) is not str or len(value) >= shortest)
    if "minimum" in schema:
        least = schema["minimum"]
        checks.append(lambda value: type(value) not in {int, float} or value >= least)
    if "maximum" in schema:
        most = schema["maximum"]
        checks.append(lambda value: type(value) not in {int, float} or value <= most)
    if "pattern" in schema:
        search = re.compile(schema["pattern"]).search
        checks.append(lambda value: type(value) is not str or search(value) is not None)
    if check := formats.get(schema.get("format", "")):
        checks.append(check)
    return checks


def _contents(schema: dict[str, Any], formats: Mapping[str, Accepts]) -> Accepts | None:
    """Return the predicate of an object's properties; most are a type and nothing else, so those are sets."""
    required = tuple(schema.get("required", ()))
    plain: dict[str, frozenset[type]] = {}
    others: dict[str, Accepts] = {}
    for name, each in schema.get("properties", {}).items():
        if isinstance(each, dict) and each.keys() <= ANNOTATIONS | {"type"} and "type" in each:
            plain[name] = _types(each) or frozenset()
            continue
        check = compile_schema(each, formats)
        if check is None:
            return None
        others[name] = check

    def contents(value: Any) -> bool:
        if value is None:
            return True
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, item in value.items():
            allowed = plain.get(name)
            if allowed is not None:
                if type(item) not in allowed:
                    return False
            elif (check := others.get(name)) is not None and not check(item):
                return False
        return True

    return contents
