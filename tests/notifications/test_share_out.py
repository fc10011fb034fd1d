"""Dividing what was fetched into runs."""

import pytest

from notifications.claim import Lease
from notifications.share_out import share_out
from tests.claimed import items

ANY_ORDER = None


def lease(*, room, tokens=0, ahead=0, depth=8):
    """One channel with room for so many runs."""
    return Lease(
        channel_id=1, circuit_id=1, endpoint_id=1, profile_id=None, shard=0, epoch=1, safe_until=0.0,
        room=room, tokens=tokens, ahead=ahead, depth=depth,
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


def test_lanes_are_lined_up_by_what_waits_in_them():
    queues = {(1, lane): items(lane, *range(4)) for lane in (7, 8, 9, 10)}

    shares, _ = share_out(queues, {1: lease(room=4, ahead=2, depth=4)})

    assert [len(run) for run in shares[1]] == [4, 4, 4, 4]


@pytest.mark.parametrize(("count", "expected"), [(4, [2, 2]), (5, [2, 1, 1, 1]), (8, [2, 2, 2, 2])])
def test_none_is_lined_up_behind_others_that_has_room_beside_them(count, expected):
    queues = {(1, ANY_ORDER): items(ANY_ORDER, *range(count))}

    shares, _ = share_out(queues, {1: lease(room=4, ahead=2, depth=2)})

    assert [len(run) for run in shares[1]] == expected
