"""From claimed deliveries to what the threads send: rendered, kept, and grouped into queues."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from events.ids import uuid7

from . import judge, lanes, rendering
from .claim import Lease
from .destinations import Notification, Sender
from .fetch import Claimed
from .sending import Item
from .settle import Result
from .transports import clock
from .transports.base import Message

# Rendering holds up the loop that settles and renews: what does not fit waits for the next look.
LONGEST = 1.0  # seconds


@dataclass(slots=True)
class Prepared:
    """What is to be done with claimed deliveries."""

    # By channel and lane (None: in any order), each in sending order.
    queues: dict[tuple[int, int | None], list[Item]] = field(default_factory=lambda: defaultdict(list))
    results: list[Result] = field(default_factory=list)  # what could not be rendered
    untried: list[Claimed] = field(default_factory=list)  # what has to wait


def prepare(
    claimed: list[Claimed],
    leases: Mapping[int, Lease],
    senders: Mapping[int, Sender],
    notifications: Mapping[int, Notification],
) -> Prepared:
    """Render what is new and keep it, before any of it is sent; stop each lane at what is held."""
    now, ends = clock.now(), time.monotonic() + LONGEST
    prepared = Prepared()
    fresh: list[tuple[Claimed, Message]] = []
    blocked: dict[int, int] = {}
    stopped: set[int] = set()  # lanes that may go no further
    for one in claimed:
        lease, queue = leases[one.channel_id], prepared.queues[one.channel_id, one.lane_id]
        if one.status == "held":
            if one.lane_id is not None:
                blocked[one.lane_id] = one.id  # the head, and all that was taken of its lane
            continue
        lease.busy[one.id] = one.lane_id
        if one.lane_id in stopped or time.monotonic() > ends:
            prepared.untried.append(one)
            continue
        notification = notifications[one.subscription_id]
        if notification.is_paused:
            stopped |= {one.lane_id} if one.lane_id is not None else set()
            prepared.results.append(_unsent(one, judge.parked(), ""))
            continue
        try:
            message = rendering.message(one, notification, senders[one.channel_id], now=now)
            complete = rendering.complete(message, one, notification)
        except rendering.Unrenderable as error:
            stopped |= {one.lane_id} if one.lane_id is not None else set()
            if one.lane_id is not None and queue:
                prepared.untried.append(one)  # it is held once it is the head of its lane
            else:
                prepared.results.append(_unsent(one, judge.unrenderable(), str(error)))
            continue
        if one.body is None:
            fresh.append((one, message))
        queue.append(Item(claimed=one, message=complete, notification=notification))
    if fresh:
        rendering.store(fresh)
    if blocked:
        lanes.block(blocked)
    return prepared


def _unsent(claimed: Claimed, decision: judge.Decision, error: str) -> Result:
    return Result(attempt_id=uuid7(), claimed=claimed, decision=decision, outcome=None, error=error)
