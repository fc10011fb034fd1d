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
from .compare import Compared, compare
from .models import BillingObject, Change
from .object_rows import lock, write_changes, write_rows
from .report import Checked, Report, check
from .report_refusals import ReportError, ReportsRefused, StaleVersion

__all__ = ["Report", "Reported", "delete", "refuse_stale", "report", "report_each", "report_many"]


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
        taken = _take(reports, source)
        outcomes = [refuse_stale(each, given) for each, given in zip(taken, reports, strict=True)]
        if refusals := {at: each for at, each in enumerate(outcomes) if isinstance(each, ReportError)}:
            raise ReportsRefused(refusals, place=place)
    _wake(outcomes)
    return [each for each in outcomes if isinstance(each, Reported)]


def report_each(
    reports: Sequence[Report | ReportError], *, source: Change.Source = Change.Source.API
) -> list[Reported | ReportError]:
    """Take those that can be, as if one after the other; a refused one leaves its ReportError."""
    with transaction.atomic():
        outcomes = _take(reports, source)
    _wake(outcomes)
    return outcomes


def _take(reports: Sequence[Report | ReportError], source: Change.Source) -> list[Reported | ReportError]:
    known_kinds, now = kinds.read(), timezone.now()
    checked = [_attempt(each, known_kinds) for each in reports]
    rows = lock([each for each in checked if isinstance(each, Checked)])
    outcomes = [compare(each, rows, now) if isinstance(each, Checked) else each for each in checked]
    write_rows(rows)
    compared = [each for each in outcomes if isinstance(each, Compared)]
    made = iter(write_changes([each.change for each in compared if each.change is not None], source))
    return [
        Reported(
            object=rows[each.key].row,
            change=next(made) if each.change is not None else None,
            is_stale=each.is_stale,
        )
        if isinstance(each, Compared)
        else each
        for each in outcomes
    ]


def _wake(outcomes: Sequence[Reported | ReportError]) -> None:
    # Outside our own savepoints, of which each would have a wake-up of its own.
    if count := sum(isinstance(each, Reported) and each.change is not None for each in outcomes):
        changes.after_commit(count)


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


def refuse_stale(outcome: Reported | ReportError, given: Report | ReportError) -> Reported | ReportError:
    """Return the outcome, or the refusal that a stale one stands for where that is an error."""
    if not isinstance(outcome, Reported) or not isinstance(given, Report) or not outcome.is_stale:
        return outcome
    assert given.version is not None
    assert outcome.object.version is not None
    return StaleVersion(given.version, outcome.object.version)
