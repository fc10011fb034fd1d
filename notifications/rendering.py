"""Making the exact text of a delivery, once: its context of tokens, and the words around it."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from django.conf import settings

from events import ids, prepared

from . import digest_body, digest_content, digest_mail, envelope, liquid, mail, mail_values, secret_values
from .collect import CODE
from .destinations import Notification, Sender
from .fetch import Claimed
from .parameters import ParameterFault
from .transports.base import Message

log = structlog.get_logger(__name__)


_STORE = """INSERT INTO notifications_renderedbody (delivery_id, delivery_created_at, body, headers, query)
   SELECT * FROM json_to_recordset(%s::json) AS r(
     delivery_id bigint, delivery_created_at timestamptz, body text, headers jsonb, query jsonb)
   ON CONFLICT DO NOTHING"""
_PAYLOAD = json.JSONDecoder(parse_float=Decimal)


class Unrenderable(Exception):  # noqa: N818 - named for the fact
    """The text of a delivery cannot be made; says why in a sentence."""


def message(claimed: Claimed, notification: Notification, sender: Sender, *, now: datetime) -> Message:
    """Return what is to be sent: as rendered before, or rendered now. Raises Unrenderable."""
    public_id = ids.public("dlv", claimed.uid)
    if claimed.body is None:
        try:
            body, headers, query = _render(public_id, claimed, notification, sender, now)
        except liquid.TemplateFault as error:
            raise Unrenderable(_whose(notification, error)) from error
        except ParameterFault as error:
            raise Unrenderable(str(error)) from error
        except Exception as error:  # whatever one delivery brings, the others go on
            log.exception("not rendered", delivery=public_id)
            raise Unrenderable(f"It could not be put into words: {type(error).__name__}: {error}") from error
    else:
        body, headers, query = claimed.body, _pairs(claimed.headers), _pairs(claimed.query)
    return Message(id=public_id, body=body, headers=headers, query=query, recipient=claimed.recipient)


def complete(message: Message, claimed: Claimed, notification: Notification) -> Message:
    """Return the message as it leaves: with the order headers of this try, and its secrets. Raises Unrenderable.

    What came before it may have been skipped since the last try. Secrets are on no record.
    """
    if claimed.recipient:
        return message
    if marks := envelope.marks(claimed):
        message = Message(
            id=message.id,
            body=message.body,
            headers=(*marks, *message.headers),
            query=message.query,
            recipient=message.recipient,
        )
    if claimed.body is None and not notification.parameters:
        return message
    try:
        return secret_values.fill(message, notification.parameters, is_new=claimed.body is None)
    except ParameterFault as error:
        raise Unrenderable(str(error)) from error


def _whose(notification: Notification, error: liquid.TemplateFault) -> str:
    return f"Payload template: {error}" if notification.payload_template else str(error)


def _pairs(rows: Iterable[Iterable[str]] | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rows or ())


def _render(
    public_id: str, claimed: Claimed, notification: Notification, sender: Sender, now: datetime
) -> tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    if claimed.event_type == CODE:
        return _digest(public_id, claimed, notification, sender, now)
    if not (claimed.recipient or notification.parameters or notification.payload_template):
        return envelope.compose(claimed, notification, {})
    context = tokens(claimed, now=now)
    if claimed.recipient:
        if notification.letter:
            about, event = claimed.event_type, claimed.event_uid
            context = mail_values.with_objects(context, notification.letter, about=about, event=event)
        text = mail.compose(
            notification, sender, context, recipient=claimed.recipient, public_id=public_id, now=now
        )
        return text, (), ()
    return envelope.compose(claimed, notification, context)


def _digest(
    public_id: str, claimed: Claimed, notification: Notification, sender: Sender, now: datetime
) -> tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    content = digest_content.read(claimed.id, public_id, with_data=bool(claimed.recipient))
    if not claimed.recipient:
        return digest_body.compose(claimed, notification, content, tokens(claimed, now=now))
    text = digest_mail.compose(
        notification,
        sender,
        tokens(claimed, now=now),
        content,
        subscription_id=claimed.subscription_id,
        recipient=claimed.recipient,
        now=now,
    )
    return text, (), ()


def tokens(claimed: Claimed, *, now: datetime) -> dict[str, Any]:
    """Return the values that templates see: the payload's own, and the core tokens. Mappings only."""
    payload: Mapping[str, Any] = _PAYLOAD.decode(claimed.data or "{}")
    return {
        **payload,
        "event": {
            "id": ids.public("evt", claimed.event_uid),
            "type": claimed.event_type,
            "label": claimed.event_label,
            "occurred_at": envelope.timestamp(claimed.occurred_at),
            "sequence": claimed.sequence,
            "ordering_key": claimed.ordering_key,
            "source": claimed.event_source,
        },
        "owner": {"name": settings.OWNER_NAME},
        "now": _now(now),
    }


@lru_cache(maxsize=8)
def _now(now: datetime) -> Mapping[str, str]:
    return {
        "date": now.date().isoformat(),
        "time": now.strftime("%H:%M"),
        "datetime": envelope.timestamp(now.astimezone(UTC)),
    }


def store(rendered: list[tuple[Claimed, Message]]) -> None:
    """Keep the texts, before any of them is sent; one that is there already stays as it is."""
    rows = [
        {
            "delivery_id": claimed.id,
            "delivery_created_at": claimed.created_at,
            "body": message.body,
            "headers": message.headers,
            "query": message.query,
        }
        for claimed, message in rendered
    ]
    prepared.run(_STORE, [msgspec.json.encode(rows).decode()])
