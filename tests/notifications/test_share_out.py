"""Dividing what was fetched into runs."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from notifications.claim import Lease
from notifications.destinations import Notification
from notifications.fetch import Claimed
from notifications.retry import Schedule
from notifications.sending import Item
from notifications.share_out import share_out
from notifications.transports.base import Message

ANY_ORDER = None


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
                event_source="", ordering_key="", occurred_at=datetime.now(UTC), data="{}",
            ),
            message=Message(id=str(number), body="{}"),
            notification=notification,
        )
        for number in numbers
    ]  # fmt: skip


def lease(*, room, tokens=0):
    """One channel with room for so many runs."""
    return Lease(
        channel_id=1, circuit_id=1, endpoint_id=1, profile_id=None, shard=0, epoch=1, safe_until=0.0,
        room=room, tokens=tokens,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fetched", "room", "expected"),
    [
        ({7: [1, 2, 3]}, 4, [[1, 2, 3]]),  # a lane is never divided
        ({7: [1], 8: [2], 9: [3]}, 2, [[1, 3], [2]]),  # short lanes share a run
        ({7: [1, 2, 3], 8: [4], 9: [5, 6]}, 2, [[1, 2, 3], [5, 6, 4]]),
        ({ANY_ORDER: [1, 2, 3, 4, 5]}, 2, [[1, 3, 5], [2, 4]]),
        ({ANY_ORDER: [1]}, 8, [[1]]),
        # Loose and ordered ones of one endpoint are within its limit together.
        ({ANY_ORDER: [1, 2, 3], 7: [4, 5]}, 2, [[4, 5, 3], [1, 2]]),
        ({7: []}, 2, None),
    ],
)
def test_runs_are_as_many_as_there_is_room_for_and_keep_the_order_of_each_lane(fetched, room, expected):
    queues = {(1, lane): items(lane, *numbers) for lane, numbers in fetched.items()}

    shares, beyond = share_out(queues, {1: lease(room=room)})

    found = {channel: [[item.claimed.id for item in run] for run in runs] for channel, runs in shares.items()}
    assert found == ({1: expected} if expected else {})
    assert beyond == []


def test_what_goes_beyond_the_tokens_of_a_rate_is_handed_back_and_lanes_keep_their_beginning():
    queues = {(1, ANY_ORDER): items(ANY_ORDER, 1, 2), (1, 7): items(7, 3, 4, 5)}

    shares, beyond = share_out(queues, {1: lease(room=4, tokens=3)})

    assert sorted(item.claimed.id for run in shares[1] for item in run) == [1, 2, 3]
    assert [item.claimed.id for item in beyond] == [4, 5]
