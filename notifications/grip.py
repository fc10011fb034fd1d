"""Deliveries under lock: the rows that belong to them, locked as every other writer locks them.

1. Channels by id, then lanes, then deliveries.
2. What is in flight is listed by its channel, so whoever holds that knows what may be on its way.
3. A worker that holds a channel hears of the change by the channel's wake counter; its lease, and so its due
   time, is left alone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Self

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from . import channels
from .models import Channel, Delivery, Lane


@dataclass(slots=True)
class Grip:
    """The rows of one change, under lock, and what is to change in them."""

    in_flight: set[int]  # under a lease that runs: a result is on its way
    may_be_sent: set[int]  # listed at all: a worker that died may have sent it
    lanes: dict[int, Lane]
    woken: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        delivery_ids: Iterable[int],
        *,
        endpoints: Collection[int] = (),
        profiles: Collection[int] = (),
        others: QuerySet[Channel] | None = None,
    ) -> Self:
        """Lock the channels and lanes of these deliveries, and the channels of these destinations besides."""
        rows = Delivery.objects.filter(pk__in=list(delivery_ids))
        places = list(rows.values_list("channel", "lane", "lane__channel"))
        channel_ids = {pk for channel, _, lanes_channel in places for pk in (channel, lanes_channel) if pk}
        leased = ExpressionWrapper(Q(leased_until__gt=Now()), output_field=BooleanField())
        if others is not None:
            channel_ids |= set(others.values_list("pk", flat=True))
        wanted = Q(pk__in=channel_ids) | Q(endpoint__in=endpoints) | Q(profile__in=profiles)
        locked = Channel.objects.select_for_update().filter(wanted).order_by("pk")
        in_flight: set[int] = set()
        may_be_sent: set[int] = set()
        for is_leased, listed in locked.annotate(leased=leased).values_list("leased", "in_flight"):
            may_be_sent.update(listed)
            if is_leased:
                in_flight.update(listed)
        lane_ids = {lane for _, lane, _ in places if lane}
        lanes = Lane.objects.select_for_update().filter(pk__in=lane_ids).order_by("pk")
        return cls(in_flight=in_flight, may_be_sent=may_be_sent, lanes={lane.pk: lane for lane in lanes})

    def lane_of(self, delivery: Delivery) -> Lane | None:
        """Return its lane, if it has one."""
        return self.lanes.get(delivery.lane_id or 0)

    def touch(self, delivery: Delivery) -> None:
        """Have whoever holds its channel look again."""
        self.woken.add(delivery.channel_id or 0)
        if lane := self.lane_of(delivery):
            self.woken.add(lane.channel_id)

    def free_lane(self, delivery: Delivery, *, passes: bool) -> None:
        """Unblock the lane whose head this is; `passes` moves on from one that is not sent."""
        self.touch(delivery)
        lane = self.lane_of(delivery)
        if lane is None or delivery.sequence is None:
            return
        if lane.blocked_by_id != delivery.pk and lane.next_sequence != delivery.sequence:
            return
        if passes:
            lane.next_sequence = delivery.sequence + 1
        lane.blocked_by_id = None
        goes_on = lane.next_sequence <= lane.tail
        lane.due_at = Now() if goes_on else None
        self.changed.add(lane.pk)

    def block_lane(self, delivery: Delivery) -> None:
        """Stop the lane whose head this is; behind others, a worker does so when it comes to it."""
        self.touch(delivery)
        lane = self.lane_of(delivery)
        if lane is None or lane.next_sequence != delivery.sequence:
            return
        lane.blocked_by_id, lane.due_at = delivery.pk, None
        self.changed.add(lane.pk)

    def write(self) -> None:
        """Write the lanes that changed, and wake the channels."""
        lanes = [self.lanes[pk] for pk in sorted(self.changed)]
        Lane.objects.bulk_update(lanes, ["next_sequence", "blocked_by", "due_at"])
        channels.wake(self.woken - {0})
