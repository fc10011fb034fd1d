"""When objects were last used: recorded in bulk, and read for those that have been silent.

1. A report costs one statement for each 10,000 rows and locks nothing but those rows, in one order.
2. The later time wins, so reports may come late, twice or out of order.
3. Who is silent is read from an index alone, in pages, so that memory does not grow with the number of objects.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import LiteralString, NamedTuple

from . import prepared
from .models import Activity

CHUNK = 10_000

_RECORD: LiteralString = """
WITH latest AS (
    SELECT kind, activity, external_id, max(at) AS at
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[]) AS given (kind, activity, external_id, at)
    GROUP BY kind, activity, external_id
    ORDER BY kind, activity, external_id
), written AS (
    INSERT INTO events_activity AS known (kind, activity, external_id, last_at)
    SELECT kind, activity, external_id, at FROM latest
    ON CONFLICT (kind, activity, external_id) DO UPDATE SET last_at = EXCLUDED.last_at
    WHERE known.last_at < EXCLUDED.last_at
    RETURNING 1
)
SELECT count(*) FROM written
"""
_SILENT: LiteralString = """
SELECT external_id, last_at FROM events_activity
WHERE kind = %s::text AND activity = %s::text AND last_at < %s::timestamptz
    AND (last_at, external_id) > (%s::timestamptz, %s::text)
ORDER BY last_at, external_id LIMIT %s::int
"""
_NEVER: LiteralString = """
SELECT o.external_id, o.created_at FROM events_billingobject AS o
WHERE o.kind = %s::text AND o.deleted_at IS NULL AND o.created_at < %s::timestamptz AND o.external_id > %s::text
    AND NOT EXISTS (
        SELECT FROM events_activity AS a
        WHERE a.kind = o.kind AND a.activity = %s::text AND a.external_id = o.external_id
    )
ORDER BY o.external_id LIMIT %s::int
"""


class Used(NamedTuple):
    """One object was active at a time: `kind` such as sim, `activity` usage or network."""

    kind: str
    activity: str
    external_id: str
    at: datetime


class Silent(NamedTuple):
    """An object that has not been active since `since`: its last activity, or when it was first heard of."""

    external_id: str
    since: datetime
    never_used: bool


def record(rows: Iterable[Used]) -> int:
    """Take over when objects were last active; return how many times moved forward.

    One statement for each 10,000 rows, in the caller's transaction if there is one.
    """
    given, moved = iter(rows), 0
    while chunk := list(islice(given, CHUNK)):
        kinds, activities, ids, times = zip(*chunk, strict=True)
        arrays = [kinds, activities, ids, [each.isoformat() for each in times]]
        moved += prepared.run(_RECORD, [prepared.array(each) for each in arrays])[0][0]
    return moved


def silent(
    kind: str, before: datetime, *, activity: str = Activity.Kind.USAGE, page: int = CHUNK
) -> Iterator[Silent]:
    """Yield the objects of a kind whose last activity was before then, the longest silent first.

    Those never active are not among them: see `never`. Deleted ones may be.
    """
    last_at, last_id = "-infinity", ""
    while True:
        given = [kind, str(activity), before.isoformat(), last_at, last_id, str(page)]
        rows = prepared.run(_SILENT, given)
        for external_id, at in rows:
            yield Silent(external_id, at, never_used=False)
        if len(rows) < page:
            return
        last_id, last_at = rows[-1][0], rows[-1][1].isoformat()


def never(
    kind: str, before: datetime, *, activity: str = Activity.Kind.USAGE, page: int = CHUNK
) -> Iterator[Silent]:
    """Yield the living objects of a kind that were first heard of before then and never active, by id."""
    last_id = ""
    while True:
        rows = prepared.run(_NEVER, [kind, before.isoformat(), last_id, str(activity), str(page)])
        for external_id, created_at in rows:
            yield Silent(external_id, created_at, never_used=True)
        if len(rows) < page:
            return
        last_id = rows[-1][0]
