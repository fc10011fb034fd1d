"""What an event may be amended to say: what it could have been published with, in the lane where it is."""

from . import catalog_cache, payload
from .models import Event
from .payload import Payload
from .refusals import FieldError, InvalidField, InvalidPayload


def check(event: Event, data: bytes) -> Payload:
    """Return the new payload; raise the PublishError that says what is wrong with it."""
    entry = catalog_cache.get(event.type_id)
    content = payload.parse(data)
    if faults := entry.checker.errors(content.value):
        raise InvalidPayload([FieldError(field=f"/data{each.field}", detail=each.detail) for each in faults])
    former = payload.parse(event.data).value
    for path in {"account.id", entry.ordering_path} - {""}:
        was, becomes = payload.lookup(former, path), payload.lookup(content.value, path)
        if was != becomes:
            raise InvalidField(
                f"It was {was!r}: what an event is of, and its place in the order, cannot be amended. "
                "Cancel it, and publish it again.",
                field=f"/data/{path.replace('.', '/')}",
            )
    return content
