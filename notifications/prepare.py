"""From claimed deliveries to what the threads send: rendered, kept, and grouped into queues."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from events.ids import uuid7

from . import judge, lanes, rendering
from .claim import Claimed, Lease
from .destinations import Directory
from .sending import Item
from .settle import Result
from .transports.base import Message


@dataclass(slots=True)
class Prepared:
    """What is to be done with claimed deliveries."""

    # By channel and lane (None: in any order), each in sending order.
    queues: dict[tuple[int, int | None], list[Item]] = field(default_factory=lambda: defaultdict(list))
    results: list[Result] = field(default_factory=list)  # what could not be rendered
    untried: list[Claimed] = field(default_factory=list)  # what has to wait for those


def prepare(claimed: list[Claimed], leases: Mapping[int, Lease], directory: Directory) -> Prepared:
    """Render what is new and keep it, before any of it is sent; stop each lane at what is held."""
    notifications = directory.notifications({one.subscription_id for one in claimed})
    now = datetime.now(UTC)
    prepared = Prepared()
    fresh: list[tuple[Claimed, Message]] = []
    blocked: dict[int, int] = {}
    stopped: set[int | None] = set()  # lanes that may go no further
    for one in claimed:
        lease, queue = leases[one.channel_id], prepared.queues[one.channel_id, one.lane_id]
        if one.status == "held":
            if one.lane_id is not None and one.lane_id not in stopped and not queue:
                blocked[one.lane_id] = one.id
            stopped.add(one.lane_id)
            continue
        lease.busy.add(one.id)
        if one.lane_id is not None and one.lane_id in stopped:
            prepared.untried.append(one)
            continue
        sender = directory.sender(lease.endpoint_id, lease.profile_id)
        try:
            message = rendering.message(one, notifications[one.subscription_id], sender, now=now)
        except rendering.Unrenderable as error:
            stopped.add(one.lane_id)
            if one.lane_id is not None and queue:
                prepared.untried.append(one)  # it is held once it is the head of its lane
            else:
                prepared.results.append(_unrenderable(one, lease, str(error)))
            continue
        if one.body is None:
            fresh.append((one, message))
        queue.append(Item(claimed=one, message=message))
    if fresh:
        rendering.store(fresh)
    if blocked:
        lanes.block(blocked)
    return prepared


def _unrenderable(claimed: Claimed, lease: Lease, error: str) -> Result:
    return Result(
        attempt_id=uuid7(),
        claimed=claimed,
        epoch=lease.epoch,
        decision=judge.unrenderable(),
        outcome=None,
        error=error,
    )
