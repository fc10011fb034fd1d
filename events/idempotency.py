"""What was published under a key before, and whether it says the same."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connection

from . import payload
from .canonical import canonical
from .draft import Prepared
from .models import Event, IdempotencyKey
from .refusals import IdempotencyConflict


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first use of a key; `event` is None once retention has removed it."""

    event_id: int
    event: Event | None
    row: IdempotencyKey


_FIELDS = [field.attname for field in Event._meta.concrete_fields]
# A key has no foreign key to its event, which retention may have removed.
_SELECT = f"""
    SELECT used.key, used.event_id, used.event_uid, used.digest,
           {", ".join(f"event.{field.column}" for field in Event._meta.concrete_fields)}
    FROM {IdempotencyKey._meta.db_table} AS used
    LEFT JOIN {Event._meta.db_table} AS event ON event.id = used.event_id
    WHERE used.publisher_id = %s AND used.key = ANY(%s)
"""  # noqa: S608


def first_uses(publisher_id: int, keys: Iterable[str]) -> dict[str, First]:
    """Return the first use of each key, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [publisher_id, sorted(set(keys))])
        rows = cursor.fetchall()
    firsts = {}
    for key, event_id, event_uid, digest, *columns in rows:
        used = IdempotencyKey(
            publisher_id=publisher_id, key=key, event_id=event_id, event_uid=event_uid, digest=bytes(digest)
        )
        event = Event.from_db(DEFAULT_DB_ALIAS, _FIELDS, columns) if columns[0] is not None else None
        firsts[key] = First(event_id=event_id, event=event, row=used)
    return firsts


def same(first: First, again: Prepared, publisher_id: int | None) -> Event:
    """Return the first event if it says what is now said again; else raise IdempotencyConflict.

    Where retention has removed it, the answer is an unsaved Event of the same id and content, whose
    `created_at` is None.
    """
    if first.event is None:
        event = _recall(first, again, publisher_id)
        if first.row.digest == again.digest:
            return event
        raise IdempotencyConflict(event, [])
    if first.row.digest == again.digest or not (differing := _differing(first.event, again)):
        return first.event
    raise IdempotencyConflict(first.event, differing)


def _differing(first: Event, again: Prepared) -> list[str]:
    draft = again.draft
    equal = {
        "type": first.type_id == again.entry.id,
        "data": first.data == again.payload.text
        or canonical(payload.parse(first.data).value) == canonical(again.payload.value),
        "account": first.account == again.account,
        "ordering_key": first.ordering_key == again.ordering_key,
        "queue": first.queue_id == again.queue_id,
        "deliver_at": first.deliver_at == draft.deliver_at,
        "occurred_at": draft.occurred_at is None or first.occurred_at == draft.occurred_at,
    }
    return [name for name, holds in equal.items() if not holds]


def _recall(first: First, again: Prepared, publisher_id: int | None) -> Event:
    event = Event(
        id=first.event_id,
        uid=first.row.event_uid,
        type_id=again.entry.id,
        publisher_id=publisher_id,
        queue_id=again.queue_id,
        source=again.draft.source,
        account=again.account,
        ordering_key=again.ordering_key,
        idempotency_key=first.row.key,
        data=again.payload.text,
        deliver_at=again.draft.deliver_at,
    )
    # Known to nobody any more, so not the defaults of a new row either.
    event.occurred_at = again.draft.occurred_at  # type: ignore[assignment]
    event.created_at = None  # type: ignore[assignment]
    return event
