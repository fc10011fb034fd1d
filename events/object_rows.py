"""The rows behind reports: locked in one order, changed in memory, written in three statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from django.db import DEFAULT_DB_ALIAS

from . import exact, prepared
from .models import BillingObject, Change
from .report import Checked, Key

# Every reporter inserts and locks in the order of kind and id, and inserts first: so none waits in a circle.
_INSERT: LiteralString = """
INSERT INTO events_billingobject (kind, external_id, state)
SELECT kind, external_id, '{}' FROM jsonb_to_recordset(%s::jsonb) AS named (kind text, external_id text)
ORDER BY kind, external_id
ON CONFLICT (kind, external_id) DO NOTHING
"""
# What is reported is locked, and so is a parent that nobody has reported: it may get a parent itself.
_LOCK: LiteralString = """
SELECT o.id, o.kind, o.external_id, o.parent_id, o.state::text, o.version, o.created_at, o.reported_at, o.deleted_at
FROM jsonb_to_recordset(%s::jsonb) AS named (kind text, external_id text, is_parent bool)
JOIN events_billingobject AS o ON o.kind = named.kind AND o.external_id = named.external_id
WHERE NOT named.is_parent OR o.reported_at IS NULL
ORDER BY o.kind, o.external_id
FOR NO KEY UPDATE OF o
"""
_PARENTS: LiteralString = """
SELECT o.id, o.kind, o.external_id
FROM jsonb_to_recordset(%s::jsonb) AS named (kind text, external_id text)
JOIN events_billingobject AS o ON o.kind = named.kind AND o.external_id = named.external_id
"""
_UPDATE: LiteralString = """
UPDATE events_billingobject AS o
SET state = given.state, version = given.version, parent_id = given.parent_id,
    reported_at = CASE WHEN given.is_reported THEN statement_timestamp() END,
    deleted_at = CASE WHEN given.is_deleted THEN coalesce(given.deleted_at, statement_timestamp()) END
FROM jsonb_to_recordset(%s::jsonb) AS given (
    id bigint, state jsonb, version bigint, parent_id bigint, is_reported bool, is_deleted bool, deleted_at timestamptz
)
WHERE o.id = given.id
RETURNING o.id, o.reported_at, o.deleted_at
"""
_CHANGES: LiteralString = """
INSERT INTO events_change (
    kind, external_id, operation, before, after, version, source, occurred_at, reported_at, folded_at
)
SELECT kind, external_id, operation, before, after, version, %s::text,
    coalesce(occurred_at, statement_timestamp()), statement_timestamp(), statement_timestamp()
FROM jsonb_to_recordset(%s::jsonb) AS given (
    position int, kind text, external_id text, operation text, before jsonb, after jsonb, version bigint,
    occurred_at timestamptz
)
ORDER BY position
RETURNING id, occurred_at, reported_at
"""
_FIELDS = [
    "id",
    "kind",
    "external_id",
    "parent_id",
    "state",
    "version",
    "created_at",
    "reported_at",
    "deleted_at",
]


@dataclass(slots=True, kw_only=True)
class Known:
    """A locked row, and what is to become of it."""

    row: BillingObject
    is_heard_of: bool
    above: list[Key] | None = None
    is_changed: bool = False

    def take(self, after: dict[str, Any] | None, given: Checked, now: datetime, above: list[Key]) -> None:
        """Take over a state (None: deleted) with its version and the parents it names, nearest first."""
        row = self.row
        if after is None:
            row.deleted_at = given.occurred_at or now
        else:
            row.state, row.deleted_at, self.above = after, None, above
        row.version = row.version if given.version is None else given.version
        row.reported_at = now
        self.is_heard_of = self.is_changed = True


def lock(reports: Iterable[Checked]) -> dict[Key, Known]:
    """Return the rows of what is reported, locked; those of unknown objects and parents are made."""
    reports = list(reports)
    own = {each.key for each in reports}
    made = {each.key for each in reports if each.state is not None or each.version is not None}
    parents = {(kind, name) for each in reports for kind, name in each.above if name is not None} - own
    if not own:
        return {}
    prepared.run(_INSERT, [_named(made | parents)])
    listed = [
        {"kind": kind, "external_id": name, "is_parent": (kind, name) in parents}
        for kind, name in own | parents
    ]
    rows = {}
    for values in prepared.run(_LOCK, [exact.dumps(listed)]):
        row = _object(values)
        rows[row.kind, row.external_id] = Known(row=row, is_heard_of=row.reported_at is not None)
    return rows


def _object(values: Sequence[Any]) -> BillingObject:
    given = dict(zip(_FIELDS, values, strict=True))
    given["state"] = exact.loads(given["state"])
    return BillingObject.from_db(DEFAULT_DB_ALIAS, list(given), list(given.values()))


def write_rows(rows: Mapping[Key, Known]) -> None:
    """Write the rows that changed."""
    _link(rows)
    changed = {known.row.pk: known.row for known in rows.values() if known.is_changed}
    if not changed:
        return
    listed = [_update(row) for row in changed.values()]
    for pk, reported_at, deleted_at in prepared.run(_UPDATE, [exact.dumps(listed)]):
        changed[pk].reported_at, changed[pk].deleted_at = reported_at, deleted_at


def write_changes(changes: Sequence[Change], source: Change.Source) -> list[Change]:
    """Write the changes in their order, and return them with their ids."""
    if not changes:
        return []
    listed = [_change(position, change) for position, change in enumerate(changes)]
    made = prepared.run(_CHANGES, [str(source), exact.dumps(listed)])
    for change, (pk, occurred_at, reported_at) in zip(changes, sorted(made), strict=True):
        change.pk, change.source = pk, source
        change.occurred_at, change.reported_at, change.folded_at = occurred_at, reported_at, reported_at
    return list(changes)


def _link(rows: Mapping[Key, Known]) -> None:
    """Point each row to its nearest parent; a parent without a state yet to the one named after it."""
    named = {key for known in rows.values() for key in known.above or ()}
    ids = {key: known.row.pk for key, known in rows.items()}
    if missing := named - ids.keys():
        ids |= {(kind, name): pk for pk, kind, name in prepared.run(_PARENTS, [_named(missing)])}
    for known in list(rows.values()):
        if known.above is None:
            continue
        known.row.parent_id = ids[known.above[0]] if known.above else None
        for below, above in zip(known.above, known.above[1:], strict=False):
            parent = rows.get(below)
            if parent is not None and not parent.is_heard_of and parent.row.parent_id is None:
                parent.row.parent_id, parent.is_changed = ids[above], True


def _named(keys: Iterable[Key]) -> str:
    return exact.dumps([{"kind": kind, "external_id": name} for kind, name in sorted(keys)])


def _update(row: BillingObject) -> dict[str, Any]:
    return {
        "id": row.pk,
        "state": row.state,
        "version": row.version,
        "parent_id": row.parent_id,
        "is_reported": row.reported_at is not None,
        "is_deleted": row.deleted_at is not None,
        "deleted_at": row.deleted_at,
    }


def _change(position: int, change: Change) -> dict[str, Any]:
    return {
        "position": position,
        "kind": change.kind,
        "external_id": change.external_id,
        "operation": change.operation,
        "before": change.before,
        "after": change.after,
        "version": change.version,
        "occurred_at": change.occurred_at,
    }
