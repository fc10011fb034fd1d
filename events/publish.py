"""Publishing events: INSERTs in the caller's own transaction, and a nudge once that commits.

1. A rollback of the caller's transaction leaves nothing; a commit makes the event certain.
2. One SQL statement, when the catalog is cached and no key is repeated: no row of ours is locked, and
   nothing outside the database is needed. Repeating an idempotency key waits for the transaction that
   uses it, and costs one SELECT more.
3. A wake-up that is lost costs time only: the inbox entry is written with the event.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import DEFAULT_DB_ALIAS, connection, transaction

from . import wake
from .draft import Draft, Prepared, prepare
from .idempotency import first_uses, same
from .models import Event, Subscriber
from .refusals import BatchRefused, PublishError

__all__ = ["Draft", "Published", "publish", "publish_each", "publish_many"]

# The rows travel as one JSON text: the driver would quote the elements of arrays one by one, in Python.
# Keys are inserted in their own order, so that two batches that share keys cannot deadlock; of a key
# repeated within the batch, the first position wins. nextval() numbers the events in batch order.
_INSERT = """
WITH incoming AS (
    SELECT nextval(pg_get_serial_sequence('events_event', 'id')) AS id, draft.*
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
        data, occurred_at, deliver_at
    )
    SELECT id, uid, type_id, %s::bigint, queue_id, source, account, ordering_key, idempotency_key,
        data, coalesce(occurred_at, statement_timestamp()), deliver_at
    FROM incoming
    WHERE idempotency_key = '' OR id IN (SELECT event_id FROM won)
    ORDER BY position
    RETURNING id, uid, occurred_at, deliver_at, created_at
), waiting AS (
    INSERT INTO events_inboxentry (event_id, due_at)
    SELECT id, CASE WHEN deliver_at > statement_timestamp() THEN deliver_at END FROM published
)
SELECT uid, id, occurred_at, created_at FROM published
"""


class Published(NamedTuple):
    """An event, and whether this call made it (False: an earlier one under the same key did)."""

    event: Event
    created: bool


def publish(
    event_type: str,
    data: Mapping[str, Any] | str | bytes,
    *,
    account: str = "",
    ordering_key: str = "",
    queue: str | None = None,
    idempotency_key: str = "",
    occurred_at: datetime | None = None,
    deliver_at: datetime | None = None,
    publisher: Subscriber | None = None,
    source: str = Event.Source.POSTED,
) -> Published:
    """Write an event in the caller's transaction, or return the first one of the same idempotency key.

    `data` is a JSON object: text and bytes (UTF-8) are kept as they are, a mapping is written as JSON
    (Decimal as string; floats as inexact as they are). `account` defaults to `account.id` in the data,
    `ordering_key` to the event type's rule, `occurred_at` (with its offset) to now; `queue` narrows the
    routing to one queue; before `deliver_at` nothing is delivered. `idempotency_key` is unique per
    publisher and never expires. Raises a PublishError (see `events.refusals`); then nothing is written.
    """
    draft = Draft(
        type=event_type,
        data=data,
        account=account,
        ordering_key=ordering_key,
        queue=queue,
        idempotency_key=idempotency_key,
        occurred_at=occurred_at,
        deliver_at=deliver_at,
        source=source,
    )
    [outcome] = _write([prepare(draft)], publisher.pk if publisher else None)
    if isinstance(outcome, PublishError):
        raise outcome
    return outcome


def publish_many(
    drafts: Sequence[Draft | PublishError], *, publisher: Subscriber | None = None, place: str = ""
) -> list[Published]:
    """Publish all, as if one after the other, or none: BatchRefused then names every fault.

    An event that its reader refused may stand in its place as that PublishError. `place` is the
    pointer to the list, put before each fault's own.
    """
    with transaction.atomic():
        outcomes = publish_each(drafts, publisher=publisher)
        if refusals := {at: each for at, each in enumerate(outcomes) if isinstance(each, PublishError)}:
            raise BatchRefused(refusals, place=place)
    return [outcome for outcome in outcomes if isinstance(outcome, Published)]


def publish_each(
    drafts: Sequence[Draft | PublishError], *, publisher: Subscriber | None = None
) -> list[Published | PublishError]:
    """Publish those that can be, as if one after the other; a refused one leaves its PublishError."""
    prepared = [_attempt(draft) for draft in drafts]
    rows = [each for each in prepared if isinstance(each, Prepared)]
    written = iter(_write(rows, publisher.pk if publisher else None))
    return [next(written) if isinstance(each, Prepared) else each for each in prepared]


def _attempt(draft: Draft | PublishError) -> Prepared | PublishError:
    if isinstance(draft, PublishError):
        return draft
    try:
        return prepare(draft)
    except PublishError as refusal:
        return refusal


def _write(rows: Sequence[Prepared], publisher_id: int | None) -> list[Published | PublishError]:
    if not rows:
        return []
    made = _insert(rows, publisher_id)
    if made:
        wake.after_commit(len(made))
    repeated = [row.draft.idempotency_key for row in rows if row.uid not in made]
    firsts = first_uses(publisher_id or 0, repeated) if repeated else {}
    outcomes: list[Published | PublishError] = []
    for row in rows:
        if row.uid in made:
            outcomes.append(Published(_event(row, publisher_id, *made[row.uid]), created=True))
            continue
        try:
            first = same(firsts[row.draft.idempotency_key], row, publisher_id)
            outcomes.append(Published(first, created=False))
        except PublishError as conflict:
            outcomes.append(conflict)
    return outcomes


def _insert(rows: Sequence[Prepared], publisher_id: int | None) -> dict[Any, tuple[int, datetime, datetime]]:
    listed = [
        {
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
        for position, row in enumerate(rows)
    ]
    # A caller that swallows a database error must not commit what the server has already abandoned.
    with transaction.mark_for_rollback_on_error(DEFAULT_DB_ALIAS), connection.cursor() as cursor:
        cursor.execute(_INSERT, [msgspec.json.encode(listed).decode(), publisher_id, publisher_id])
        return {uid: (event_id, occurred, created) for uid, event_id, occurred, created in cursor.fetchall()}


def _event(
    row: Prepared, publisher_id: int | None, event_id: int, occurred_at: datetime, created_at: datetime
) -> Event:
    event = Event(
        id=event_id,
        uid=row.uid,
        type_id=row.entry.id,
        publisher_id=publisher_id,
        queue_id=row.queue_id,
        source=row.draft.source,
        account=row.account,
        ordering_key=row.ordering_key,
        idempotency_key=row.draft.idempotency_key,
        data=row.payload.text,
        occurred_at=occurred_at,
        deliver_at=row.draft.deliver_at,
        created_at=created_at,
    )
    event._state.adding = False
    event._state.db = DEFAULT_DB_ALIAS
    return event
