"""Taking over what host projects wrote: each change meets its object here, not in the host's transaction."""

from collections.abc import Sequence
from typing import Any, LiteralString

import structlog
from django.db import transaction
from django.utils import timezone

from . import exact, kinds, prepared
from .compare import Compared, compare
from .models import Change, ObjectKind
from .object_rows import lock, write_rows
from .report import Checked, Report, check
from .report_refusals import ReportError

log = structlog.get_logger(__name__)

BATCH = 1000
_FIELDS = ["id", "kind", "external_id", "operation", "after", "is_partial", "occurred_at"]

# One at a time, so that the changes of an object are taken over in their order.
_TURN: LiteralString = "SELECT pg_try_advisory_xact_lock(hashtext('bellwether.fold'))"
_TAKE: LiteralString = """
SELECT id, kind, external_id, operation, after::text, is_partial, occurred_at
FROM events_change WHERE folded_at IS NULL ORDER BY id LIMIT %s::int
"""
_FOLDED: LiteralString = """
UPDATE events_change AS c
SET operation = given.operation, before = given.before, after = given.after, error = given.error,
    folded_at = statement_timestamp(), evaluated_at = CASE WHEN given.error <> '' THEN statement_timestamp() END
FROM jsonb_to_recordset(%s::jsonb) AS given (id bigint, operation text, before jsonb, after jsonb, error text)
WHERE c.id = given.id AND c.folded_at IS NULL
"""
# The host saved what it had saved before: no trigger could make anything of it.
_NOTHING_NEW: LiteralString = "DELETE FROM events_change WHERE id = ANY (%s::bigint[]) AND folded_at IS NULL"


def fold() -> int:
    """Take over up to 1,000 changes that host projects wrote, oldest first; return how many were looked at.

    Afterwards each says what its object was before, and the object is what it says. One that says nothing new
    is deleted, one that cannot be taken over keeps the reason. 0: nothing is left, or another process is at it.
    """
    with transaction.atomic():
        if not prepared.run(_TURN, [])[0][0]:
            return 0
        taken = prepared.run(_TAKE, [str(BATCH)])
        if taken:
            _take_over([_read(values) for values in taken])
        return len(taken)


def _read(values: Sequence[Any]) -> Change:
    change = Change(**dict(zip(_FIELDS, values, strict=True)))
    change.after = None if change.after is None else exact.loads(change.after)
    return change


def _take_over(taken: list[Change]) -> None:
    known, now = _kinds({each.kind for each in taken}), timezone.now()
    checked = [_check(each, known) for each in taken]
    rows = lock([each for each in checked if isinstance(each, Checked)])
    folded, nothing_new = [], []
    for change, given in zip(taken, checked, strict=True):
        outcome = compare(given, rows, now) if isinstance(given, Checked) else given
        if isinstance(outcome, ReportError):
            log.warning("change not taken over", change=change.pk, object=str(change), error=outcome.detail)
            folded.append(_row(change, change, error=f"{outcome.field}: {outcome.detail}"))
        elif isinstance(outcome, Compared) and outcome.change is not None:
            folded.append(_row(change, outcome.change))
        else:
            nothing_new.append(change.pk)
    write_rows(rows)
    prepared.run(_FOLDED, [exact.dumps(folded)])
    if nothing_new:
        prepared.run(_NOTHING_NEW, [prepared.array(nothing_new)])


def _kinds(codes: set[str]) -> dict[str, kinds.Kind]:
    """Return every kind; a host's own that nobody has described yet is made."""
    known = dict(kinds.read())
    if new := sorted(codes - known.keys()):
        ObjectKind.objects.bulk_create(
            [ObjectKind(code=code, label=code.replace("_", " ").capitalize()) for code in new],
            ignore_conflicts=True,
        )
        known |= kinds.read()
    return known


def _check(change: Change, known: dict[str, kinds.Kind]) -> Checked | ReportError:
    given = Report(
        kind=change.kind,
        external_id=change.external_id,
        state=None if change.operation == "delete" else change.after or {},
        partial=change.is_partial,
        occurred_at=change.occurred_at,
    )
    try:
        return check(given, known)
    except ReportError as refusal:
        return refusal


def _row(taken: Change, said: Change, *, error: str = "") -> dict[str, Any]:
    return {
        "id": taken.pk,
        "operation": said.operation,
        "before": said.before,
        "after": said.after,
        "error": error,
    }
