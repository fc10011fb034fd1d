"""What templates see: plain values only, so that none reaches into an object. Copied where they are looked at.

A payload has some dozens of values and a mail prints three: to copy all of them, for subject, text and HTML
each, was a third of what putting a mail into words cost.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from .liquid_json import Exact
from .liquid_places import PLACE, Place

MAX_DEPTH = 32  # of values inside values
MISSING = object()
_PLAIN = frozenset([type(None), str, int, float, bool, Decimal, datetime, date])


class NotPlain(ValueError):  # noqa: N818 - named for the fact
    """A value that no template may see; says why."""


class Values(Mapping[str, Any]):
    """The values of one mail or callout, for as many templates as it has, and the place they are written for."""

    def __init__(self, given: Mapping[str, Any], place: Place | None = None) -> None:
        """`given` holds JSON-like values: mappings, lists, texts, numbers, dates."""
        self._given = given
        self._copied: dict[str, Any] = {PLACE: place}

    def __getitem__(self, name: str) -> Any:
        if name not in self._copied:
            try:
                given = self._given[name]
            except KeyError:
                if name not in (texts := {str(key): key for key in self._given}):
                    raise
                given = self._given[texts[name]]
            self._copied[name] = plain(given, 1)
        return self._copied[name]

    def __iter__(self) -> Iterator[str]:
        return iter({PLACE: None, **{str(name): None for name in self._given}})

    def __len__(self) -> int:
        return len(self._given) + 1

    def at(self, path: tuple[str, ...]) -> Any:
        """Return what a dotted path leads to, or MISSING."""
        found: Any = self._given
        for key in path:
            if type(found) is not dict or key not in found:
                return self._in_the_copy(path)
            found = found[key]
        return found if type(found) in _PLAIN else plain(found, len(path))

    def _in_the_copy(self, path: tuple[str, ...]) -> Any:
        found: Any = self
        for key in path:
            try:
                found = found[key]
            except (KeyError, TypeError, IndexError):
                return MISSING
        return found


def plain(value: Any, depth: int = 0) -> Any:
    """Return a copy made of plain values only. Raises NotPlain."""
    if type(value) in _PLAIN:
        return value
    if depth > MAX_DEPTH:
        raise NotPlain("the values are nested too deeply.")
    if isinstance(value, Exact):
        return Exact(plain(dict(value), depth), value.text)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, str):  # a subclass may claim to be safe HTML
        return str.__str__(value) if type(value).__str__ is str.__str__ else "".join(value)
    raise NotPlain(f"a {type(value).__name__} cannot be shown in a template.")
