"""The rows of published events, in one statement: the event, its inbox entry, the use of its key."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from django.db import DEFAULT_DB_ALIAS, transaction

from . import prepared
from .draft import Prepared
from .models import Event

# The driver takes ten microseconds to read a time, so they return in numbers.
#
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
SELECT uid, id, (extract(epoch FROM created_at) * 1000000)::bigint FROM published
"""

# One event needs no list, no sorting and no second look at its row. Its inbox entry may come first: that
# foreign key is checked at commit.
_WON: LiteralString = """
WITH won AS (
    INSERT INTO events_idempotencykey (publisher_id, key, event_id, event_uid, digest)
    VALUES (coalesce(%(publisher)s::bigint, 0), %(key)s::text, nextval('events_event_id_seq'), %(uid)s::uuid,
        decode(%(digest)s::text, 'hex'))
    ON CONFLICT (publisher_id, key) DO NOTHING
    RETURNING event_id
), waiting AS (
    INSERT INTO events_inboxentry (due_at, event_id)
    SELECT CASE WHEN %(deliver)s::timestamptz > statement_timestamp() THEN %(deliver)s::timestamptz END, event_id
    FROM won
"""
_NUMBERED: LiteralString = """
WITH waiting AS (
    INSERT INTO events_inboxentry (due_at, event_id)
    VALUES (
        CASE WHEN %(deliver)s::timestamptz > statement_timestamp() THEN %(deliver)s::timestamptz END,
        nextval('events_event_id_seq'))
"""
_WRITTEN: LiteralString = """
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
RETURNING id, (extract(epoch FROM created_at) * 1000000)::bigint
"""
_ONE: LiteralString = _NUMBERED + _WRITTEN
_ONE_KEYED: LiteralString = _WON + _WRITTEN

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = [field.attname for field in Event._meta.concrete_fields]


def insert(rows: Sequence[Prepared], publisher_id: int | None) -> dict[UUID, Event]:
    """Write the events whose keys are new, in the order given; return them by their uid."""
    # A caller that swallows a database error must not commit what the server has already abandoned.
    with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS):
        if len(rows) == 1:
            [row] = rows
            written = _insert_one(row, publisher_id)
            return {row.uid: _event(row, publisher_id, *written[0])} if written else {}
        publisher = None if publisher_id is None else str(publisher_id)
        listed = msgspec.json.encode([_listed(position, row) for position, row in enumerate(rows)])
        made = prepared.run(_MANY, [listed.decode(), publisher, publisher])
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


def _event(row: Prepared, publisher_id: int | None, event_id: int, microseconds: int) -> Event:
    draft = row.draft
    created_at = _EPOCH + timedelta(microseconds=microseconds)
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
