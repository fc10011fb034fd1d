"""The rows of published events, in one statement: the event, its inbox entry, the use of its key."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from django.db import DEFAULT_DB_ALIAS, transaction

from . import prepared
from .draft import Prepared
from .models import Event

# The rows travel as one JSON text: the driver would quote the elements of arrays one by one, in Python.
# Keys are inserted in their own order, so that two batches that share keys cannot deadlock; of a key
# repeated within the batch, the first position wins. nextval() numbers the events in batch order.
_MANY: LiteralString = """
WITH incoming AS (
    SELECT nextval('events_event_id_seq') AS id, draft.*
    FROM (
        SELECT * FROM json_to_recordset(%s::json) AS listed(
            position int, uid uuid, type_id bigint, queue_id bigint, source text, account text,
            ordering_key text, idempotency_key text, digest text, data text,
            occurred_at timestamptz, deliver_at timestamptz
        ) ORDER BY position
    ) AS draft
), won AS (
    INSERT INTO events_idempotencykey (publisher_id, key, event_id, event_uid, digest)
    SELECT coalesce(%s::bigint, 0), idempotency_key, id, uid, decode(digest, 'hex')
    FROM incoming WHERE idempotency_key <> '' ORDER BY idempotency_key, position
    ON CONFLICT (publisher_id, key) DO NOTHING
    RETURNING event_id
), published AS (
    INSERT INTO events_event (
        id, uid, type_id, publisher_id, queue_id, source, account, ordering_key, idempotency_key,
        data, occurred_at, deliver_at, created_at
    )
    SELECT id, uid, type_id, %s::bigint, queue_id, source, account, ordering_key, idempotency_key,
        data, coalesce(occurred_at, statement_timestamp()), deliver_at, statement_timestamp()
    FROM incoming
    WHERE idempotency_key = '' OR id IN (SELECT event_id FROM won)
    ORDER BY position
    RETURNING id, uid, deliver_at, created_at
), waiting AS (
    INSERT INTO events_inboxentry (event_id, due_at)
    SELECT id, CASE WHEN deliver_at > statement_timestamp() THEN deliver_at END FROM published
)
SELECT uid, id, created_at FROM published
"""

# One event needs no list, no sorting and no sub-select. The inbox's foreign key is checked at commit.
_NUMBER: LiteralString = "SELECT nextval('events_event_id_seq') AS event_id"
_KEY: LiteralString = """
    INSERT INTO events_idempotencykey (publisher_id, key, event_id, event_uid, digest)
    VALUES (coalesce(%(publisher)s::bigint, 0), %(key)s::text, nextval('events_event_id_seq'), %(uid)s::uuid,
        decode(%(digest)s::text, 'hex'))
    ON CONFLICT (publisher_id, key) DO NOTHING
    RETURNING event_id
"""
_ROW: LiteralString = """
), waiting AS (
    INSERT INTO events_inboxentry (event_id, due_at)
    SELECT event_id, CASE WHEN %(deliver)s::timestamptz > statement_timestamp() THEN %(deliver)s::timestamptz END
    FROM won
    RETURNING event_id
)
INSERT INTO events_event (
    id, uid, type_id, publisher_id, queue_id, source, account, ordering_key, idempotency_key,
    data, occurred_at, deliver_at, created_at
)
SELECT event_id, %(uid)s::uuid, %(type)s::bigint, %(publisher)s::bigint, %(queue)s::bigint, %(source)s::text,
    %(account)s::text, %(ordering)s::text, %(key)s::text, %(data)s::text,
    coalesce(%(occurred)s::timestamptz, statement_timestamp()), %(deliver)s::timestamptz, statement_timestamp()
FROM waiting
RETURNING uid, id, created_at
"""
_ONE: LiteralString = "WITH won AS (" + _NUMBER + _ROW
_ONE_KEYED: LiteralString = "WITH won AS (" + _KEY + _ROW

_FIELDS = [field.attname for field in Event._meta.concrete_fields]


def insert(rows: Sequence[Prepared], publisher_id: int | None) -> dict[UUID, Event]:
    """Write the events whose keys are new, in the order given; return them by their uid."""
    # A caller that swallows a database error must not commit what the server has already abandoned.
    with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS):
        if len(rows) == 1:
            made = _insert_one(rows[0], publisher_id)
        else:
            publisher = None if publisher_id is None else str(publisher_id)
            listed = msgspec.json.encode([_listed(position, row) for position, row in enumerate(rows)])
            made = prepared.run(_MANY, [listed.decode(), publisher, publisher])
    if len(rows) == 1:
        return {uid: _event(rows[0], publisher_id, *given) for uid, *given in made}
    by_uid = {row.uid: row for row in rows}
    return {uid: _event(by_uid[uid], publisher_id, *given) for uid, *given in made}


def _insert_one(row: Prepared, publisher_id: int | None) -> list[Any]:
    draft = row.draft
    return prepared.run(
        _ONE_KEYED if draft.idempotency_key else _ONE,
        {
            "uid": row.uid.hex,
            "type": str(row.entry.id),
            "publisher": None if publisher_id is None else str(publisher_id),
            "queue": None if row.queue_id is None else str(row.queue_id),
            "source": str(draft.source),
            "account": row.account,
            "ordering": row.ordering_key,
            "key": draft.idempotency_key,
            "digest": row.digest.hex(),
            "data": row.payload.text,
            "occurred": None if draft.occurred_at is None else draft.occurred_at.isoformat(),
            "deliver": None if draft.deliver_at is None else draft.deliver_at.isoformat(),
        },
    )


def _listed(position: int, row: Prepared) -> dict[str, Any]:
    return {
        "position": position,
        "uid": row.uid,
        "type_id": row.entry.id,
        "queue_id": row.queue_id,
        "source": row.draft.source,
        "account": row.account,
        "ordering_key": row.ordering_key,
        "idempotency_key": row.draft.idempotency_key,
        "digest": row.digest.hex(),
        "data": row.payload.text,
        "occurred_at": row.draft.occurred_at,
        "deliver_at": row.draft.deliver_at,
    }


def _event(row: Prepared, publisher_id: int | None, event_id: int, created_at: datetime) -> Event:
    draft = row.draft
    # Without a time of its own, an event occurred when it was written.
    occurred_at = created_at if draft.occurred_at is None else draft.occurred_at.astimezone(UTC)
    values = {
        "id": event_id,
        "uid": row.uid,
        "type_id": row.entry.id,
        "publisher_id": publisher_id,
        "queue_id": row.queue_id,
        "source": draft.source,
        "account": row.account,
        "ordering_key": row.ordering_key,
        "idempotency_key": draft.idempotency_key,
        "data": row.payload.text,
        "occurred_at": occurred_at,
        "deliver_at": draft.deliver_at,
        "created_at": created_at,
    }
    return Event.from_db(DEFAULT_DB_ALIAS, _FIELDS, [values[name] for name in _FIELDS])
