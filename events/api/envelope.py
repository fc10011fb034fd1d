"""Reading a posted event: the envelope's members are checked by name, `data` stays as its bytes."""

import re
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from rest_framework.exceptions import ParseError

from events.draft import Draft
from events.refusals import InvalidField, PublishError

MAX_EVENTS = 1000

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
T = TypeVar("T")


class Envelope(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One event as it is posted."""

    type: str
    data: msgspec.Raw
    account: str | None = None
    ordering_key: str | None = None
    queue: str | None = None
    idempotency_key: str | None = None
    occurred_at: Moment | None = None
    deliver_at: Moment | None = None


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Several events, each read by itself so that each can be refused by itself."""

    events: list[msgspec.Raw]


_EVENT = msgspec.json.Decoder(Envelope)
_BATCH = msgspec.json.Decoder(Batch | list[msgspec.Raw])
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_MEMBER = re.compile(r"Object (contains unknown|missing required) field `([^`]*)`")


def read(body: bytes | msgspec.Raw, *, header_key: str = "") -> Draft:
    """Return the posted event; ParseError if it is no JSON, InvalidField for a wrong member.

    `header_key` is the Idempotency-Key header, which may say the same as the member or stand alone.
    """
    envelope = decode(_EVENT, body, "an event", Envelope)
    key = envelope.idempotency_key or ""
    if header_key and key not in ("", header_key):
        raise InvalidField(
            "The Idempotency-Key header says another key than the body; send only one of them.",
            field="/idempotency_key",
        )
    return Draft(
        type=envelope.type,
        data=bytes(envelope.data),
        account=envelope.account or "",
        ordering_key=envelope.ordering_key or "",
        queue=envelope.queue,
        idempotency_key=key or header_key,
        occurred_at=envelope.occurred_at,
        deliver_at=envelope.deliver_at,
    )


def read_batch(body: bytes) -> tuple[list[Draft | PublishError], str]:
    """Return each posted event, or why it cannot be one, and the pointer to the list of them."""
    batch = decode(_BATCH, body, "a batch", Batch)
    place, events = ("/events", batch.events) if isinstance(batch, Batch) else ("", batch)
    if not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidField(f"A batch has 1 to {MAX_EVENTS} events; this one has {len(events)}.", field=place)
    return [_each(event) for event in events], place


def _each(event: msgspec.Raw) -> Draft | PublishError:
    try:
        return read(event)
    except PublishError as refusal:
        return refusal


def decode(
    decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, what: str, struct: type[msgspec.Struct]
) -> T:
    """Return what the body says; ParseError if it is no JSON, InvalidField for a wrong member of `what`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_member(str(error), what, struct) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _malformed(error) from None


def wrong_member(message: str, what: str, struct: type[msgspec.Struct]) -> InvalidField:
    """Return the refusal that names the member which msgspec found wrong."""
    place = _PLACE.search(message)
    field = f"/{_pointer(place[1])}" if place and place[1] else ""
    if found := _MEMBER.search(message):
        problem, name = found.groups()
        if problem == "missing required":
            return InvalidField("This member is required.", field=f"{field}/{name}")
        legal = ", ".join(struct.__struct_fields__)
        return InvalidField(f"Unknown member; {what} has: {legal}.", field=f"{field}/{name}")
    return InvalidField(f"{_PLACE.sub('', message)}.", field=field)


def _pointer(place: str) -> str:
    """Turn `activity[0].id` into `activity/0/id`; of a mapping's values it is not told which one."""
    return place.replace("[...]", "").replace("[", ".").replace("]", "").replace(".", "/")


def _malformed(error: Exception) -> ParseError:
    if isinstance(error, RecursionError):
        return ParseError("The body is nested too deeply.")
    return ParseError(f"The body is not valid JSON in UTF-8: {error}.")
