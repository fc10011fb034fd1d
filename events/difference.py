"""What differs between two states, member by member."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .canonical import canonical

_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One member that differs; None: it was not there, or is no more (or was null)."""

    path: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Difference]:
    """Return the members that differ, by path, in alphabetical order; objects are looked into, lists are not."""
    return list(_compare("", before or {}, after or {}))


def _compare(place: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        path = f"{place}{name}"
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            if _is_object_or_absent(old) and _is_object_or_absent(new):
                inner = [each if isinstance(each, Mapping) else {} for each in (old, new)]
                yield from _compare(f"{path}.", *inner)
                continue
        elif old is not _ABSENT and new is not _ABSENT and canonical(old) == canonical(new):
            continue
        yield Difference(path=path, before=_or_none(old), after=_or_none(new))


def _is_object_or_absent(value: Any) -> bool:
    return value is _ABSENT or isinstance(value, Mapping)


def _or_none(value: Any) -> Any:
    return None if value is _ABSENT else value
