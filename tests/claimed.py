"""Deliveries as they were fetched, made up."""

from datetime import UTC, datetime
from uuid import UUID

from notifications.destinations import Notification
from notifications.fetch import Claimed
from notifications.retry import Schedule
from notifications.sending import Item
from notifications.transports.base import Message


def items(lane, *numbers):
    """What was fetched of one lane."""
    notification = Notification(
        is_paused=False, queue="", schedule=Schedule(), skips_failures=False, parameters=(),
    )  # fmt: skip
    return [
        Item(
            claimed=Claimed(
                id=number, uid=UUID(int=number), channel_id=1, epoch=1, lane_id=lane, sequence=number,
                status="pending", subscription_id=1, recipient="", attempt_count=0, crash_count=0,
                created_at=datetime.now(UTC), previous_uid=None, previous_sequence=None, body=None,
                headers=None, query=None, event_uid=UUID(int=number), event_type="", event_label="",
                event_source="", ordering_key="", occurred_at=datetime.now(UTC), data="{}", replay_id=None,
            ),
            message=Message(id=str(number), body="{}"),
            notification=notification,
        )
        for number in numbers
    ]  # fmt: skip
