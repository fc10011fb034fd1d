"""Billing objects as they were when an event was published, whatever was reported since.

1. Each event's row keeps what its transaction saw as it was written, and each change which transaction wrote it
   (migration 0005). So what was being reported beside the event and committed after it is later, and what the
   publisher's own transaction had reported before is not. Of one object, changes commit in the order of their ids.
2. An object that changed later is as its last change before the event left it, else as the first one after it
   found it. Its parents are those that it named then.
3. History is kept for RETENTION_DAYS. Where a change may be gone that would say it, the object is `is_forgotten`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from . import exact, kinds, prepared
from .report import Key, keep_parents, merge, references
from .report_refusals import ReportError

When = dict[str, str | None]  # an event or a moment

MOST_LINKS = 8  # from the event's object up
MOST_NAMED = 20  # objects of one payload
CONTACTS = frozenset(["contact", "contacts"])
OWN = frozenset(["event", "owner", "now"])  # what templates see of the product itself

_VISIBLE: LiteralString = """
c.kind = way.kind AND c.external_id = way.external_id AND c.error = '' AND c.id <= about.mark AND coalesce(
    c.written_by = about.written_by OR pg_visible_in_snapshot(c.written_by, about.seen)
    -- Transactions are numbered anew where a backup was restored into another server.
    OR (c.written_by >= pg_snapshot_xmax(about.seen) AND c.reported_at < about.created_at - interval '1 hour'),
    c.reported_at <= about.created_at)
"""
_ABOUT: LiteralString = """
about AS (
    SELECT created_at, seen, written_by,
        CASE WHEN seen IS NULL THEN 9223372036854775807 ELSE coalesce(change_mark, 0) END AS mark
    FROM events_event WHERE uid = %(event)s::uuid
    UNION ALL SELECT moment, NULL, NULL, 9223372036854775807
    FROM (SELECT %(at)s::timestamptz AS moment) AS given WHERE moment IS NOT NULL
)
"""
# Along the links of today, and what each object was; whose links were others is looked up again.
_WALK: LiteralString = prepared.compact(
    "WITH RECURSIVE"  # noqa: S608
    + _ABOUT
    + """, way AS (
    SELECT named.kind, named.external_id, o.state, o.created_at, o.reported_at, o.deleted_at, o.parent_id, 0 AS links
    FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS named (kind, external_id)
    LEFT JOIN events_billingobject AS o ON o.kind = named.kind AND o.external_id = named.external_id
    UNION ALL
    SELECT o.kind, o.external_id, o.state, o.created_at, o.reported_at, o.deleted_at, o.parent_id, way.links + 1
    FROM way JOIN events_billingobject AS o ON o.id = way.parent_id WHERE way.links < %(most)s::int
)
SELECT way.kind, way.external_id, CASE WHEN way.created_at <= about.created_at THEN way.state::text END,
    above.kind, above.external_id, coalesce(last.is_delete, way.deleted_at <= about.created_at, false),
    last.id, last.version, last.folded_at IS NULL, last.state::text,
    next.id, next.folded_at IS NULL, next.before::text,
    last.id IS NULL AND (next.id IS NOT NULL OR coalesce(way.reported_at > about.created_at, true))
        -- The oldest month that is kept: events_change_2026_11.
        AND about.created_at < (
            SELECT to_timestamp(substr(min(relname::text), 15), 'YYYY_MM')
            FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
            WHERE inhparent = 'events_change'::regclass AND relname <> 'events_change_default')
FROM about CROSS JOIN way
LEFT JOIN events_billingobject AS above ON above.id = way.parent_id
LEFT JOIN LATERAL (
    SELECT c.id, c.version, c.folded_at, c.operation = 'delete' AS is_delete, coalesce(c.after, c.before) AS state
    FROM events_change AS c WHERE """
    + _VISIBLE
    + """ ORDER BY c.id DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT c.id, c.folded_at, c.before FROM events_change AS c
    WHERE c.kind = way.kind AND c.external_id = way.external_id AND c.error = '' AND c.id > coalesce(last.id, 0)
    ORDER BY c.id LIMIT 1
) AS next ON true
"""
)
# What a host project wrote in time, and nobody has taken over yet.
_UNFOLDED: LiteralString = (
    "WITH"  # noqa: S608
    + _ABOUT
    + """
SELECT c.operation, c.is_partial, c.after::text
FROM about CROSS JOIN (SELECT %(kind)s::text AS kind, %(id)s::text AS external_id) AS way
CROSS JOIN LATERAL (SELECT c.* FROM events_change AS c WHERE c.folded_at IS NULL AND """
    + _VISIBLE
    + """) AS c
ORDER BY c.id
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsPublished:
    """One object as an event found it. `state` None: it was not known then, or (`is_forgotten`) no longer is.

    What `is_deleted` has its last state. `change_id` and `version` are those of its last change before the event;
    None where that is not kept.
    """

    kind: str
    external_id: str
    state: dict[str, Any] | None
    is_forgotten: bool = False
    is_deleted: bool = False
    has_changed: bool = False
    change_id: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    external_id: str
    state: str | None
    above_kind: str | None
    above_id: str | None
    is_deleted: bool
    last_id: int | None
    version: int | None
    last_is_unfolded: bool
    last_state: str | None
    next_id: int | None
    next_is_unfolded: bool
    before: str | None
    is_forgotten: bool | None


def as_published(event: UUID, named: Iterable[Key]) -> list[AsPublished]:
    """Return the objects that an event names and those above them, nearest first; of as near ones in the order given.

    One statement, unless an object has changed since and then belonged to another.
    """
    return _climb({"event": str(event), "at": None}, named)


def as_at(moment: datetime, named: Iterable[Key]) -> list[AsPublished]:
    """Return objects and those above them as they had been reported by a moment, in the same way."""
    return _climb({"event": None, "at": moment.isoformat()}, named)


def _climb(when: When, named: Iterable[Key]) -> list[AsPublished]:
    found: dict[Key, AsPublished] = {}
    rows: dict[Key, _Row] = {}
    known: dict[str, kinds.Kind] = {}
    level = list(dict.fromkeys(named))
    for _ in range(MOST_LINKS + 1):
        level = [key for key in level if key not in found]
        if not level:
            break
        if lacking := [key for key in level if key not in rows]:
            rows |= _read(when, lacking)
        above: list[Key] = []
        for key in level:
            row = rows.get(key)
            if row is None:
                continue  # there is no such event
            found[key] = one = _one(when, row)
            if not one.has_changed:
                above += [(row.above_kind, row.above_id)] if row.above_kind and row.above_id else []
            elif one.state is not None:
                known = known or dict(kinds.read())
                above += _named_then(one, known)
        level = above
    return list(found.values())


def named(data: Mapping[str, Any], *, first: str) -> list[Key]:
    """Return the objects that a payload names by their id, the kind `first` before the others; contacts never."""
    found = {
        kind: str(thing["id"])
        for kind, thing in data.items()
        if kind not in OWN | CONTACTS and isinstance(thing, dict) and _is_id(thing.get("id"))
    }
    return [(kind, found[kind]) for kind in sorted(found, key=lambda kind: kind != first)[:MOST_NAMED]]


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _read(when: When, keys: list[Key]) -> dict[Key, _Row]:
    values = prepared.run(
        _WALK,
        {
            **when,
            "kinds": prepared.array(kind for kind, _ in keys),
            "ids": prepared.array(external_id for _, external_id in keys),
            "most": str(MOST_LINKS),
        },
    )
    return {(row.kind, row.external_id): row for row in (_Row(*each) for each in values)}


def _one(when: When, row: _Row) -> AsPublished:
    text, is_forgotten = _state(row), bool(row.is_forgotten)
    state = None if text is None or is_forgotten else exact.loads(text)
    if row.last_id is not None and row.last_is_unfolded:
        state = _fold(when, row, state or {})
    return AsPublished(
        kind=row.kind,
        external_id=row.external_id,
        state=state,
        is_forgotten=is_forgotten,
        is_deleted=row.is_deleted,
        has_changed=row.next_id is not None,
        change_id=row.last_id,
        version=row.version,
    )


def _state(row: _Row) -> str | None:
    if row.last_id is not None and row.last_is_unfolded:
        return row.state  # what is not folded comes after all that is
    if row.next_id is None:
        return row.last_state if row.state is None else row.state
    if row.last_id is not None:
        return row.last_state
    return row.state if row.next_is_unfolded else row.before


def _fold(when: When, row: _Row, state: dict[str, Any]) -> dict[str, Any]:
    """Take over in memory what a host project had written by then."""
    known = kinds.read().get(row.kind)
    written = {**when, "kind": row.kind, "id": row.external_id}
    for operation, is_partial, after in prepared.run(_UNFOLDED, written):
        if operation == "delete":
            continue  # the last state stays readable
        given = exact.loads(after)
        whole = keep_parents(given, state, known) if known else given
        state = merge(state, given) if is_partial else whole
    return state


def _named_then(one: AsPublished, known: dict[str, kinds.Kind]) -> list[Key]:
    kind = known.get(one.kind)
    try:
        return references(one.state or {}, kind) if kind else []
    except ReportError:
        return []  # the kind's parents are looked for elsewhere since
