"""Reporting billing objects: the last known state is upserted, and each difference leaves one change.

1. The object's row is locked while its version and state are compared, so two reports of one object are
   taken one after the other; many are locked in one order, whoever reports them.
2. A report that says nothing new leaves no change, so repeating one is free. A report of a lower version, or of
   the same version with another state, is stale and changes nothing. Reports without a version are always taken.
3. A parent that is named and not known yet gets a row without a state, to be filled by its own report.
4. The change is written in the caller's transaction; triggers look at it after the commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from . import changes, kinds
from .canonical import canonical
from .models import BillingObject, Change, Operation
from .object_rows import Known, lock, write
from .report import Checked, Key, Report, check, keep_parents, merge, references
from .report_refusals import ReportError, ReportsRefused, StaleVersion, UnknownObject

__all__ = ["Report", "Reported", "delete", "report", "report_each", "report_many"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a report came to: the object as it is known now, and the change it made, if any."""

    object: BillingObject
    change: Change | None = None
    is_stale: bool = False


def report(
    kind: str,
    external_id: str,
    state: Mapping[str, Any] | str | bytes,
    *,
    version: int | None = None,
    occurred_at: datetime | None = None,
    parents: Mapping[str, str | None] | None = None,
    partial: bool = False,
) -> Reported:
    """Take over the state of an object, in the caller's transaction; raise ReportError if it cannot be one.

    `state` is the whole state, or with `partial` a JSON merge patch of it (null removes a member). Parents are
    named in it as `<kind>.id`, or in `parents` by kind; those it does not speak of stay, None lets go of one.
    Numbers are kept exact: give money as Decimal or text. A stale `version` changes nothing and is no error.
    """
    return _one(
        Report(
            kind=kind,
            external_id=external_id,
            state=state,
            partial=partial,
            version=version,
            occurred_at=occurred_at,
            parents=parents,
        )
    )


def delete(
    kind: str, external_id: str, *, version: int | None = None, occurred_at: datetime | None = None
) -> Reported:
    """Note that an object is no more; its last state stays readable. Raises UnknownObject if it never was.

    With a version, one that was never reported is noted as deleted, so that an older report of it is stale.
    """
    return _one(
        Report(kind=kind, external_id=external_id, state=None, version=version, occurred_at=occurred_at)
    )


def report_many(
    reports: Sequence[Report | ReportError], *, source: Change.Source = Change.Source.API, place: str = ""
) -> list[Reported]:
    """Take all, as if one after the other, or none: ReportsRefused then names every fault and stale version.

    A report that its reader refused may stand in its place as that ReportError. `place` is the pointer to the
    list, put before each fault's own.
    """
    with transaction.atomic():
        outcomes = [
            _refuse_stale(each, given)
            for each, given in zip(report_each(reports, source=source), reports, strict=True)
        ]
        if refusals := {at: each for at, each in enumerate(outcomes) if isinstance(each, ReportError)}:
            raise ReportsRefused(refusals, place=place)
    return [each for each in outcomes if isinstance(each, Reported)]


def report_each(
    reports: Sequence[Report | ReportError], *, source: Change.Source = Change.Source.API
) -> list[Reported | ReportError]:
    """Take those that can be, as if one after the other; a refused one leaves its ReportError."""
    known_kinds, now = kinds.read(), timezone.now()
    checked = [_attempt(each, known_kinds) for each in reports]
    with transaction.atomic():
        rows = lock([each for each in checked if isinstance(each, Checked)])
        outcomes = [_apply(each, rows, now) if isinstance(each, Checked) else each for each in checked]
        pending = [each for each in outcomes if isinstance(each, _Pending)]
        written = write(rows, [each.change for each in pending if each.change is not None], source)
    if written:
        changes.after_commit(len(written))
    made = iter(written)
    return [
        Reported(
            object=rows[each.key].row,
            change=next(made) if each.change is not None else None,
            is_stale=each.is_stale,
        )
        if isinstance(each, _Pending)
        else each
        for each in outcomes
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    key: Key
    change: Change | None = None
    is_stale: bool = False


def _one(given: Report) -> Reported:
    [outcome] = report_each([given])
    if isinstance(outcome, ReportError):
        raise outcome
    return outcome


def _attempt(given: Report | ReportError, known_kinds: Mapping[str, kinds.Kind]) -> Checked | ReportError:
    if isinstance(given, ReportError):
        return given
    try:
        return check(given, known_kinds)
    except ReportError as refusal:
        return refusal


def _refuse_stale(outcome: Reported | ReportError, given: Report | ReportError) -> Reported | ReportError:
    if isinstance(outcome, Reported) and outcome.is_stale:
        assert isinstance(given, Report)
        return stale(outcome, given)
    return outcome


def stale(outcome: Reported, given: Report) -> StaleVersion:
    """Return the refusal that a stale report stands for."""
    assert given.version is not None
    assert outcome.object.version is not None
    return StaleVersion(given.version, outcome.object.version)


def _apply(given: Checked, rows: Mapping[Key, Known], now: datetime) -> _Pending | ReportError:
    """Change the object in memory, and return the change to be written."""
    known = rows.get(given.key)
    if known is None or (given.state is None and given.version is None and not known.is_heard_of):
        return UnknownObject("No such object was reported; there is nothing to delete.", field="/id")
    row = known.row
    exists = known.is_heard_of and row.deleted_at is None
    before = row.state if exists else None
    after = _after(given, before)
    differs = _differs(before, after)
    if (
        given.version is not None
        and row.version is not None
        and (given.version < row.version or (given.version == row.version and differs))
    ):
        return _Pending(key=given.key, is_stale=True)
    if not differs and given.version in {None, row.version} and known.is_heard_of:
        return _Pending(key=given.key)
    known.take(after, given, now, above=references(after, given.kind) if after is not None else [])
    if not differs:
        return _Pending(key=given.key)
    operation = Operation.DELETE if after is None else Operation.UPDATE if exists else Operation.CREATE
    change = Change(
        kind=row.kind,
        external_id=row.external_id,
        operation=operation,
        before=before,
        after=after,
        version=given.version,
        occurred_at=given.occurred_at,
    )
    return _Pending(key=given.key, change=change)


def _after(given: Checked, before: dict[str, Any] | None) -> dict[str, Any] | None:
    if given.state is None:
        return None
    if given.partial:
        return merge(before or {}, given.state)
    return keep_parents(given.state, before or {}, given.kind)


def _differs(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    if before is None or after is None:
        return before is not after
    return canonical(before) != canonical(after)
