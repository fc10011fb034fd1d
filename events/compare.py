"""What a report changes: its state and version against what is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .canonical import canonical
from .models import Change, Operation
from .object_rows import Known
from .report import Checked, Key, keep_parents, merge, references
from .report_refusals import ReportError, UnknownObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What came of one report: a change to be written, or nothing new (None), or a stale version."""

    key: Key
    change: Change | None = None
    is_stale: bool = False


def compare(given: Checked, rows: Mapping[Key, Known], now: datetime) -> Compared | ReportError:
    """Take the report over into the locked rows, in memory, and return the change that it makes."""
    known = rows.get(given.key)
    if known is None or (given.state is None and given.version is None and not known.is_heard_of):
        return UnknownObject("No such object was reported; there is nothing to delete.", field="/id")
    row = known.row
    exists = known.is_heard_of and row.deleted_at is None
    before = row.state if exists else None
    after = _after(given, before)
    differs = _differ(before, after)
    if _is_stale(given.version, row.version, differs=differs):
        return Compared(key=given.key, is_stale=True)
    if not differs and known.is_heard_of and given.version in {None, row.version}:
        return Compared(key=given.key)
    known.take(after, given, now, above=references(after, given.kind) if after is not None else [])
    if not differs:
        return Compared(key=given.key)
    change = Change(
        kind=row.kind,
        external_id=row.external_id,
        operation=Operation.DELETE if after is None else Operation.UPDATE if exists else Operation.CREATE,
        before=before,
        after=after,
        version=given.version,
    )
    if given.occurred_at is not None:
        change.occurred_at = given.occurred_at
    return Compared(key=given.key, change=change)


def _is_stale(given: int | None, known: int | None, *, differs: bool) -> bool:
    if given is None or known is None:
        return False
    return given < known or (given == known and differs)


def _after(given: Checked, before: dict[str, Any] | None) -> dict[str, Any] | None:
    if given.state is None:
        return None
    if given.partial:
        return merge(before or {}, given.state)
    return keep_parents(given.state, before or {}, given.kind)


def _differ(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    if before is None or after is None:
        return before is not after
    return canonical(before) != canonical(after)
