"""From what a caller says of an event to the row that is written: catalog, payload, routing, ordering key."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from . import catalog_cache, ids, moments, payload
from .canonical import digest
from .catalog_cache import Entry, Target
from .models import Event
from .payload import Payload
from .refusals import (
    FieldError,
    InactiveEventType,
    InvalidField,
    InvalidPayload,
    NoOrderingKey,
    NotRouted,
    UnknownEventType,
    UnknownQueue,
)

MAX_ACCOUNT = 100
MAX_KEY = 200
_SOURCES = frozenset(Event.Source.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event as the caller says it; the fields are those of `publish()`."""

    type: str
    data: Mapping[str, Any] | str | bytes
    account: str = ""
    ordering_key: str = ""
    queue: str | None = None
    idempotency_key: str = ""
    occurred_at: datetime | None = None
    deliver_at: datetime | None = None
    source: str = Event.Source.POSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A draft that passed every check, with what was derived from it."""

    draft: Draft
    uid: UUID
    entry: Entry
    payload: Payload
    queue_id: int | None
    account: str
    ordering_key: str
    digest: bytes  # empty without an idempotency key


def prepare(draft: Draft) -> Prepared:
    """Return the draft with its derived values; raise the PublishError that says what is wrong with it."""
    entry = event_type(draft.type)
    for field in ("occurred_at", "deliver_at"):
        moment = getattr(draft, field)
        if moment is not None and moment.utcoffset() is None:
            raise InvalidField("The time has no offset; write it as 2026-11-22T14:03:09Z.", field=f"/{field}")
        if moment is not None and not moments.is_storable(moment):
            raise InvalidField(moments.OUTSIDE, field=f"/{field}")
    if draft.source not in _SOURCES:
        raise InvalidField(f"The source is one of {', '.join(Event.Source.values)}.", field="/source")
    _check_text("/idempotency_key", draft.idempotency_key, MAX_KEY)
    content = payload.parse(draft.data)
    if faults := entry.checker.errors(content.value):
        raise InvalidPayload([FieldError(field=f"/data{each.field}", detail=each.detail) for each in faults])
    queues = targets(entry, draft.queue)
    account = _account(draft, content.value)
    return Prepared(
        draft=draft,
        uid=ids.uuid7(),
        entry=entry,
        payload=content,
        queue_id=queues[0].id if draft.queue is not None else None,
        account=account,
        ordering_key=_ordering_key(draft, entry, content.value, account, queues),
        digest=_digest(draft, content.value, account) if draft.idempotency_key else b"",
    )


def event_type(code: str) -> Entry:
    """Return the active event type of that code; raise UnknownEventType or InactiveEventType."""
    entry = catalog_cache.find(code)
    if entry is None:
        detail = f"There is no event type {code!r}. {_nearest(code, catalog_cache.codes())}"
        raise UnknownEventType(detail, field="/type")
    if not entry.is_active:
        detail = f"The event type {code} is switched off; an administrator can activate it."
        raise InactiveEventType(detail, field="/type")
    return entry


def targets(entry: Entry, queue: str | None) -> tuple[Target, ...]:
    """Return the queues that an event goes to: the named one, else all that its type flows into."""
    if queue is None:
        return entry.queues
    found = tuple(target for target in entry.queues if target.name == queue)
    if found:
        return found
    names = [target.name for target in entry.queues]
    if queue not in catalog_cache.queue_names():
        detail = f"There is no queue {queue!r}. {_nearest(queue, sorted(catalog_cache.queue_names()))}"
        raise UnknownQueue(detail, field="/queue")
    flows = f"flows into {', '.join(names)}" if names else "flows into no queue yet"
    raise NotRouted(
        f"{entry.code} does not flow into {queue}: it {flows}. Name one of its queues, or have it routed.",
        field="/queue",
    )


def _account(draft: Draft, data: dict[str, Any]) -> str:
    if draft.account:
        return _check_text("/account", draft.account, MAX_ACCOUNT)
    return _check_text("/data/account/id", _scalar(payload.lookup(data, "account.id")), MAX_ACCOUNT)


def _ordering_key(
    draft: Draft, entry: Entry, data: dict[str, Any], account: str, queues: tuple[Target, ...]
) -> str:
    if draft.ordering_key:
        return _check_text("/ordering_key", draft.ordering_key, MAX_KEY)
    if entry.ordering_prefix:
        place = "/data/" + "/".join(map(payload.escape, entry.ordering_path.split(".")))
        if value := _scalar(payload.lookup(data, entry.ordering_path)):
            return _check_text(place, f"{entry.ordering_prefix}:{value}", MAX_KEY)
        if entry.ordering_prefix == "account" and account:
            return _check_text("/account", f"account:{account}", MAX_KEY)
    if ordered := [target.name for target in queues if target.is_ordered]:
        in_payload = f", or {entry.ordering_path} in data" if entry.ordering_path else ""
        raise NoOrderingKey(
            f"The queue {ordered[0]} delivers in order and needs to know what belongs together: "
            f"give ordering_key, such as account:1001{in_payload}.",
            field="/ordering_key",
        )
    return ""


def _digest(draft: Draft, data: dict[str, Any], account: str) -> bytes:
    # The ordering key as given, not as derived: a changed rule must not turn a retry into a conflict.
    optional = {} if draft.occurred_at is None else {"occurred_at": draft.occurred_at}
    return digest(
        type=draft.type,
        data=data,
        account=account,
        ordering_key=draft.ordering_key,
        queue=draft.queue,
        deliver_at=draft.deliver_at,
        **optional,
    )


def _scalar(value: Any) -> str:
    """A string or a whole number as text; anything else is no identifier."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _check_text(field: str, text: str, limit: int) -> str:
    # They end up in headers, where a control character would forge or break one.
    if len(text) > limit or not text.isprintable():
        raise InvalidField(f"Use at most {limit} printable characters.", field=field)
    return text


def _nearest(name: str, legal: list[str]) -> str:
    if near := difflib.get_close_matches(name, legal, n=1):
        return f"Did you mean {near[0]}?"
    return f"There are: {', '.join(legal[:20])}." if legal else "None exists yet."
