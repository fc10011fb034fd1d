"""One report of a billing object, checked and made comparable."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import exact, kinds, moments, payload
from .refusals import FieldError, InvalidPayload, PayloadTooLarge
from .report_refusals import InvalidReport, StateTooLarge, UnknownKind

MAX_ID = 100
MAX_VERSION = 2**63 - 1

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a reporter says of one object. `state` None: it was deleted. `partial`: a JSON merge patch (RFC 7396)."""

    kind: str
    external_id: str
    state: Mapping[str, Any] | str | bytes | None
    partial: bool = False
    version: int | None = None
    occurred_at: datetime | None = None
    parents: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A report that can be taken. `above` are the parents it names, nearest first; None: it has that one no more."""

    key: Key
    state: dict[str, Any] | None
    partial: bool
    version: int | None
    occurred_at: datetime | None
    kind: kinds.Kind
    above: tuple[tuple[str, str | None], ...]


def check(report: Report, known: Mapping[str, kinds.Kind]) -> Checked:
    """Return the report as values; raise UnknownKind or InvalidReport, which name the field and the remedy."""
    kind = known.get(report.kind)
    if kind is None:
        raise UnknownKind(kinds.unknown(report.kind, known), field="/kind")
    _check_id(report.external_id, "/id")
    if report.version is not None and not 0 <= report.version <= MAX_VERSION:
        raise _invalid("/version", "Send a whole number from 0 to 9223372036854775807, or none.")
    if report.occurred_at is not None and report.occurred_at.tzinfo is None:
        raise _invalid("/occurred_at", "Give the time with its offset, such as 2026-11-22T14:03:09Z.")
    if report.occurred_at is not None and not moments.is_storable(report.occurred_at):
        raise _invalid("/occurred_at", moments.OUTSIDE)
    state = None if report.state is None else _read(report.state)
    if state is not None:
        stated = state.get("id", report.external_id)
        if str(stated) != report.external_id:
            detail = f"The state says {stated!r} and the report is of {report.external_id}; make them equal."
            raise _invalid("/state/id", detail)
        _place_parents(state, report.parents or {}, kind)
    return Checked(
        key=(report.kind, report.external_id),
        state=state,
        partial=report.partial,
        version=report.version,
        occurred_at=report.occurred_at,
        kind=kind,
        above=() if state is None else tuple(_references(state, kind)),
    )


def merge(state: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with a JSON merge patch (RFC 7396): null removes a member, objects are merged."""
    merged = dict(state)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def keep_parents(state: dict[str, Any], before: Mapping[str, Any], kind: kinds.Kind) -> dict[str, Any]:
    """Return a whole state with the references that it does not speak of taken from the one before."""
    for _, path in kind.above:
        if not _mentions(state, path) and (known := payload.lookup(before, path)) is not None:
            state = merge(state, _at(path, known))
    return state


def references(state: Mapping[str, Any], kind: kinds.Kind) -> list[tuple[str, str]]:
    """Return the kind and id of each parent that a state names, nearest first."""
    return [(code, found) for code, found in _references(state, kind) if found is not None]


def _read(state: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    try:
        text = exact.dumps(dict(state)) if isinstance(state, Mapping) else state
        return payload.parse(text).value
    except PayloadTooLarge:
        detail = (
            f"The state is longer than {payload.MAX_BYTES:,} bytes (256 KB). Leave out what no notification needs, "
            "or report its parts as objects of their own."
        )
        raise StateTooLarge([FieldError(field="/state", detail=detail)]) from None
    except InvalidPayload as error:
        faults = [
            FieldError(field="/state" + each.field.removeprefix("/data"), detail=each.detail)
            for each in error.errors
        ]
        raise InvalidReport(faults) from None
    except (TypeError, UnicodeError, RecursionError) as error:
        raise _invalid("/state", f"This cannot be written as JSON: {error}.") from None


def _place_parents(state: dict[str, Any], parents: Mapping[str, str | None], kind: kinds.Kind) -> None:
    """Write the parents that were named beside the state into it, where its kind has them."""
    paths = dict(kind.above)
    for code, external_id in parents.items():
        if code not in paths:
            legal = ", ".join(paths) or "none"
            raise _invalid(f"/parents/{code}", f"Not a parent of {kind.code}; its parents are: {legal}.")
        if external_id is not None:
            _check_id(external_id, f"/parents/{code}")
        stated = payload.lookup(state, paths[code])
        if stated is not None and external_id is not None and str(stated) != external_id:
            detail = (
                f"The state says {stated!r} at {paths[code]}; say the same here, or leave one of them out."
            )
            raise _invalid(f"/parents/{code}", detail)
        *outer, last = paths[code].split(".")
        inner = state
        for name in outer:
            below = inner.get(name)
            inner[name] = inner = dict(below) if isinstance(below, dict) else {}
        inner[last] = external_id


def _references(state: Mapping[str, Any], kind: kinds.Kind) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for code, path in kind.above:
        if not _mentions(state, path):
            continue
        value = payload.lookup(state, path)
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise _invalid(f"/state/{path.replace('.', '/')}", f"Give the id of the {code} as text.")
        if value is not None:
            _check_id(str(value), f"/state/{path.replace('.', '/')}")
        found.append((code, None if value is None else str(value)))
    return found


def _mentions(state: Mapping[str, Any], path: str) -> bool:
    """Whether the state says something of the path: a value, or null there or above it."""
    value: Any = state
    for name in path.split("."):
        if value is None:
            return True
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _at(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def _check_id(external_id: str, field: str) -> None:
    if (
        not 1 <= len(external_id) <= MAX_ID
        or not external_id.isprintable()
        or external_id != external_id.strip()
    ):
        raise _invalid(field, f"Give an id of 1 to {MAX_ID} printable characters, without blanks around it.")


def _invalid(field: str, detail: str) -> InvalidReport:
    return InvalidReport([FieldError(field=field, detail=detail)])
