"""Deliveries that are none: of an event type's sample, or of a past event, to show or try what would be sent."""

import json
from datetime import datetime
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from events.ids import uuid7
from events.models import Event, EventType
from events.payload import lookup

from .fetch import Claimed

_EVENT = UUID("019aabcd-5e6f-7a8b-9c0d-1e2f3a4b5c6d")
_DELIVERY = UUID("019aabcd-5e70-7c11-8d3e-2f4a5b6c7d8e")
_SEQUENCE = 1042


def of_sample(event_type: EventType, *, is_ordered: bool = True, subscription_id: int = 1) -> Claimed:
    """Return what a delivery of the event type's sample would be, always the same."""
    key = ""
    if event_type.ordering_prefix:
        key = f"{event_type.ordering_prefix}:{lookup(event_type.sample, event_type.ordering_path)}"
    return _claimed(
        event_type,
        uid=_DELIVERY,
        event_uid=_EVENT,
        data=json.dumps(event_type.sample, ensure_ascii=False),
        occurred_at=_sample_time(event_type),
        ordering_key=key,
        source=Event.Source.POSTED,
        sequence=_SEQUENCE if is_ordered else None,
        subscription_id=subscription_id,
    )


def of_event(event: Event, *, is_ordered: bool = True, subscription_id: int = 1) -> Claimed:
    """Return what a delivery of a past event would be; its number in the lane is made up."""
    return _claimed(
        event.type,
        uid=uuid7(),
        event_uid=event.uid,
        data=event.data,
        occurred_at=event.occurred_at,
        ordering_key=event.ordering_key,
        source=event.source,
        sequence=_SEQUENCE if is_ordered else None,
        subscription_id=subscription_id,
    )


def _claimed(
    event_type: EventType,
    *,
    uid: UUID,
    event_uid: UUID,
    data: str,
    occurred_at: datetime,
    ordering_key: str,
    source: str,
    sequence: int | None,
    subscription_id: int,
) -> Claimed:
    return Claimed(
        id=0,
        uid=uid,
        channel_id=0,
        epoch=0,
        lane_id=None if sequence is None else 0,
        sequence=sequence,
        status="pending",
        subscription_id=subscription_id,
        recipient="",
        attempt_count=0,
        crash_count=0,
        created_at=occurred_at,
        previous_uid=None,
        previous_sequence=None if sequence is None else sequence - 1,
        body=None,
        headers=None,
        query=None,
        event_uid=event_uid,
        event_type=event_type.code,
        event_label=event_type.label,
        event_source=source,
        occurred_at=occurred_at,
        ordering_key=ordering_key,
        data=data,
        replay_id=None,
    )


def _sample_time(event_type: EventType) -> datetime:
    known = event_type.tokens.filter(name="event.occurred_at").values_list("sample", flat=True).first()
    return parse_datetime(known or "") or timezone.now()
