"""The JSON Schema of a callout of one event type, and a sample of one: the envelope around its payload's."""

import json
from typing import Any

from events.models import EventType

from . import envelope, sample
from .preview import Draft

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(event_type: EventType) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the standard body."""
    described: dict[str, Any] = {
        "id": {
            "type": "string",
            "pattern": "^evt_[0-9a-f]{32}$",
            "description": "The event, in every callout about it.",
        },
        "type": {"const": event_type.code, "description": event_type.label},
        "timestamp": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
        "queue": {"type": "string", "description": "The queue that it came through."},
        "ordering_key": {
            "type": "string",
            "description": "What it is kept in order with; empty if with nothing.",
        },
        "sequence": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Its number in its lane, without gaps; null in queues without order.",
        },
        "data": _payload(event_type),
        "parameters": {"type": "object", "description": "Name/value pairs that the subscription adds."},
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:bellwether:callout:{event_type.code}",
        "title": f"Callout: {event_type.label}",
        "description": event_type.description,
        "type": "object",
        "properties": described,
        "required": list(described),
    }


def sample_callout(event_type: EventType) -> dict[str, Any]:
    """Return the body of a callout of the event type's sample."""
    draft = Draft(queue="billing", payload_template="", parameters=())
    body, _, _ = envelope.compose(sample.of_sample(event_type), draft, {})
    made: dict[str, Any] = json.loads(body)
    return made


def _payload(event_type: EventType) -> dict[str, Any]:
    payload = {name: value for name, value in event_type.schema.items() if name != "$schema"}
    # With a name of its own, what it refers to ("#/$defs/…") stays inside it.
    return {"$id": f"urn:bellwether:event:{event_type.code}", **(payload or {"type": "object"})}
