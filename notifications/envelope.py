"""The body of a callout: the event's payload byte for byte, in a small JSON envelope or an administrator's own."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

from events import ids

from . import payload_template
from .data_source import DataSource
from .fetch import Claimed
from .parameters import Given, Pairs, ParameterFault, as_json, place

MAX_BODY = 1024 * 1024  # bytes, around a payload of at most 256 KB


class Wording(Protocol):
    """What a subscription says of its callouts' words."""

    @property
    def queue(self) -> str:
        """The name of its queue."""

    @property
    def parameters(self) -> tuple[Given, ...]:
        """In order."""

    @property
    def payload_template(self) -> str:
        """Empty: the envelope below."""


def compose(claimed: Claimed, wording: Wording, context: Mapping[str, Any]) -> tuple[str, Pairs, Pairs]:
    """Return body, extra headers and query parameters of a callout, with markers in place of secrets.

    `context` is needed where there are parameters or a template. Raises liquid.TemplateFault and ParameterFault.
    """
    if not (wording.parameters or wording.payload_template):
        return _standard(claimed, wording.queue, "{}"), (), ()
    source = DataSource(context, claimed.event_type.partition(".")[0], event=claimed.event_uid)
    delivery = ids.public("dlv", claimed.uid)
    placed = place(wording.parameters, dict(context), source, of=delivery)
    if wording.payload_template:
        body = payload_template.render(
            wording.payload_template, context, source, data=claimed.data or "{}", parameters=placed.body
        )
    else:
        body = _standard(claimed, wording.queue, as_json(placed.body) if placed.body else "{}")
    if (length := len(body.encode())) > MAX_BODY:
        raise ParameterFault(
            f"The body has {length:,} bytes with its parameters; {MAX_BODY:,} are sent. Leave some of them out."
        )
    return body, placed.headers, placed.query


def _standard(claimed: Claimed, queue: str, parameters: str) -> str:
    # The payload goes in as text: parsing and writing it again would turn 19.90 into 19.9.
    return (
        f'{{"id": "{ids.public("evt", claimed.event_uid)}", "type": {_quote(claimed.event_type)}, '
        f'"timestamp": "{timestamp(claimed.occurred_at)}", "queue": {_quote(queue)}, '
        f'"ordering_key": {_quote(claimed.ordering_key)}, '
        f'"sequence": {"null" if claimed.sequence is None else claimed.sequence}, '
        f'"data": {claimed.data}, "parameters": {parameters}}}'
    )


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
    if claimed.replay_id is not None:
        return tuple(headers[:2])  # out of its turn: what comes before it here says nothing
    first, last = (claimed.previous_sequence or 0) + 1, (claimed.sequence or 0) - 1
    if first <= last:
        headers.append(("bellwether-skipped", f"{first}-{last}" if first < last else str(first)))
    return tuple(headers)


def marks(claimed: Claimed) -> Pairs:
    """Return the headers of this try: the order, where there is one, and whether it is a replay."""
    order = order_headers(claimed) if claimed.lane_id is not None else ()
    return order if claimed.replay_id is None else (*order, ("bellwether-replay", str(claimed.replay_id)))


_quote = json.encoder.encode_basestring
