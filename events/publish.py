"""Publishing events: INSERTs in the caller's own transaction, and a nudge once that commits.

1. A rollback of the caller's transaction leaves nothing; a commit makes the event certain.
2. One SQL statement, when the catalog is cached and no key is repeated: no row of ours is locked, and
   nothing outside the database is needed. Repeating an idempotency key waits for the transaction that
   uses it, and costs one SELECT more.
3. A wake-up that is lost costs time only: the inbox entry is written with the event.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction

from . import changes, wake
from .draft import Draft, Prepared, prepare
from .idempotency import first_uses, same
from .insert import insert
from .models import AnchorEntry, Event, Subscriber
from .refusals import BatchRefused, PublishError

__all__ = ["Draft", "Published", "publish", "publish_each", "publish_many"]


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
    made = insert(rows, publisher_id)
    if made:
        wake.after_commit(len(made))
        _show_to_rules(made[row.uid] for row in rows if row.uid in made and row.entry.is_anchor)
    repeated = [row.draft.idempotency_key for row in rows if row.uid not in made]
    firsts = first_uses(publisher_id or 0, repeated) if repeated else {}
    outcomes: list[Published | PublishError] = []
    for row in rows:
        if row.uid in made:
            outcomes.append(Published(made[row.uid], created=True))
            continue
        try:
            first = same(firsts[row.draft.idempotency_key], row, publisher_id)
            outcomes.append(Published(first, created=False))
        except PublishError as conflict:
            outcomes.append(conflict)
    return outcomes


def _show_to_rules(events: Iterable[Event]) -> None:
    """Have triggers look at events of the types that they wait for."""
    entries = [AnchorEntry(event=event) for event in events]
    if entries:
        AnchorEntry.objects.bulk_create(entries)
        changes.after_commit(len(entries))
