"""The body of a callout: the event's payload byte for byte, inside a small JSON envelope."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from events import ids

from . import liquid
from .destinations import Notification
from .fetch import Claimed
from .match import resolve
from .models import Parameter

Pairs = tuple[tuple[str, str], ...]


def compose(
    claimed: Claimed, notification: Notification, context: Mapping[str, Any]
) -> tuple[str, Pairs, Pairs]:
    """Return body, extra headers and query parameters of a callout. Raises liquid.TemplateFault."""
    placed: dict[str, dict[str, Any]] = {"body": {}, "header": {}, "query": {}}
    for parameter in notification.parameters:
        value = _value(parameter, context)
        in_body = parameter.placement == Parameter.Placement.BODY
        placed[parameter.placement][parameter.name] = value if in_body else _text(value)
    # The payload goes in as text: parsing and writing it again would turn 19.90 into 19.9.
    body = (
        f'{{"id": "{ids.public("evt", claimed.event_uid)}", "type": {_quote(claimed.event_type)}, '
        f'"timestamp": "{timestamp(claimed.occurred_at)}", "queue": {_quote(notification.queue)}, '
        f'"ordering_key": {_quote(claimed.ordering_key)}, '
        f'"sequence": {"null" if claimed.sequence is None else claimed.sequence}, '
        f'"data": {claimed.data}, "parameters": {_json(placed["body"]) if placed["body"] else "{}"}}}'
    )
    return body, tuple(placed["header"].items()), tuple(placed["query"].items())


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the second unless it has a fraction."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def order_headers(claimed: Claimed) -> Pairs:
    """Return what lets a receiver prove that it missed nothing, on in-order subscriptions."""
    headers = [
        # Quoted, so that two keys never look alike in a header.
        ("bellwether-lane", f"{claimed.subscription_id}:{quote(claimed.ordering_key, safe=':/ @')}"),
        ("bellwether-sequence", str(claimed.sequence)),
    ]
    if claimed.previous_uid:
        headers.append(("bellwether-previous", ids.public("dlv", claimed.previous_uid)))
    first, last = (claimed.previous_sequence or 0) + 1, (claimed.sequence or 0) - 1
    if first <= last:
        headers.append(("bellwether-skipped", f"{first}-{last}" if first < last else str(first)))
    return tuple(headers)


def _value(parameter: Parameter, context: Mapping[str, Any]) -> Any:
    match parameter.source:
        case Parameter.Source.STATIC:
            return parameter.value
        case Parameter.Source.TOKEN:
            return resolve(context, parameter.value)
    return liquid.render(parameter.value, context, kind="text")


def _text(value: Any) -> str:
    """Return a value for a header or the query: one line of text."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else _json(value)
    return " ".join(text.split())


def _decimal(value: object) -> str:
    """A decimal of the payload becomes a string, so that no receiver reads it as a float."""
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


# Made once: json.dumps() would make an encoder for each value.
_json = json.JSONEncoder(ensure_ascii=False, default=_decimal).encode
_quote = json.encoder.encode_basestring
