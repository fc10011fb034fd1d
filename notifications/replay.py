"""Sending deliveries once more: each is reopened in a lane of the replay's own, so that live traffic goes on.

1. A delivery keeps its id, its number and its bytes; the header `bellwether-replay` says that it comes again.
2. In order: a replay sends what it takes of a lane in the order of its numbers, beside that lane.
3. It is carried on in batches, each a transaction of its own, so that it may be interrupted anywhere.
4. What its publisher cancelled is never replayed, nor is a mail to who is suppressed or has opted out since.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Max, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest, Now
from django_q.tasks import async_task

from . import channels
from .audit import Actor, name_of, record
from .excluded import excluded
from .grip import Grip
from .made_when import made_between
from .models import Channel, Delivery, Lane, Replay
from .nudge import nudge
from .operate import deadlocks_again

BATCH = 500  # deliveries in one transaction
Status = Delivery.Status
REPLAYABLE = (Status.DELIVERED, Status.DEAD, Status.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which deliveries: these ids, or those of a subscription or endpoint that fit the rest."""

    ids: Sequence[UUID] = ()
    subscription_id: int | None = None
    endpoint_id: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    event_type: str = ""
    ordering_key: str = ""
    after_sequence: int | None = None
    statuses: Sequence[str] = REPLAYABLE
    subscriber_id: int | None = None  # only of its subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """How many deliveries a replay would send again, and how many it would leave alone, by status."""

    total: int
    by_status: dict[str, int]
    left_alone: dict[str, int]


def preview(selection: Selection) -> Preview:
    """Count what a replay would do now."""
    counted = _all(selection).values("status").annotate(n=Count("pk")).order_by("status")
    counts = {row["status"]: row["n"] for row in counted}
    chosen = {status: number for status, number in counts.items() if status in selection.statuses}
    left_alone = {status: number for status, number in counts.items() if status not in chosen}
    return Preview(total=sum(chosen.values()), by_status=chosen, left_alone=left_alone)


def order(selection: Selection, actor: Actor, reason: str = "") -> Replay:
    """Order a replay and do its first batch; whoever works next carries it on."""
    with transaction.atomic():
        found = _all(selection).filter(status__in=selection.statuses)
        counted = found.aggregate(total=Count("pk"), last=Max("pk"))
        replay = Replay.objects.create(
            ids=list(selection.ids),
            subscription_id=selection.subscription_id,
            endpoint_id=selection.endpoint_id,
            created_after=selection.created_after,
            created_before=selection.created_before,
            event_type=selection.event_type,
            ordering_key=selection.ordering_key,
            after_sequence=selection.after_sequence,
            statuses=list(selection.statuses),
            subscriber_id=selection.subscriber_id,
            total=counted["total"],
            last=counted["last"] or 0,
            actor_name=name_of(actor),
            reason=reason,
        )
        record(actor, "replay.order", [str(replay)], reason)
    carry_on(replay.pk)
    replay.refresh_from_db()
    if replay.status == Replay.Status.RUNNING:
        async_task("notifications.tasks.carry_on_replays")
    return replay


def carry_on_all() -> int:
    """Carry on the replays that are not done, in turns; return how many deliveries were reopened."""
    total = 0
    while running := list(
        Replay.objects.filter(status="running").order_by("pk").values_list("pk", flat=True)
    ):
        total += sum(carry_on(pk) for pk in running)
    return total


def carry_on(replay_id: int) -> int:
    """Reopen the next batch; return how many deliveries that were."""
    return deadlocks_again(partial(_carry_on, replay_id))


@transaction.atomic
def _carry_on(replay_id: int) -> int:
    replay = Replay.objects.select_for_update().get(pk=replay_id)
    if replay.status != Replay.Status.RUNNING:
        return 0
    selection = Selection(**{name: getattr(replay, name) for name in Selection.__dataclass_fields__})
    left = _all(selection).filter(status__in=replay.statuses, pk__gt=replay.position, pk__lte=replay.last)
    ids = list(left.order_by("pk").values_list("pk", flat=True)[:BATCH])
    reopened = _reopen(replay, ids) if ids else 0
    replay.position = ids[-1] if ids else replay.last
    replay.reopened += reopened
    if len(ids) < BATCH:
        replay.status, replay.ended_at = Replay.Status.DONE, Now()
        # Not to be mailed, or gone from the selection meanwhile: retried, cancelled or replayed by somebody else.
        replay.left_alone = max(0, replay.total - replay.reopened)
    replay.save(update_fields=["position", "reopened", "left_alone", "status", "ended_at"])
    if reopened:
        transaction.on_commit(nudge, robust=True)
    return reopened


def _all(selection: Selection) -> QuerySet[Delivery]:
    """Return what the selection is about, in any status."""
    wanted = made_between(selection.created_after, selection.created_before)
    named: dict[str, Any] = {
        "subscription_id": selection.subscription_id,
        "subscription__endpoint_id": selection.endpoint_id,
        "subscription__subscriber_id": selection.subscriber_id,
        "event__type__code": selection.event_type or None,
        "event__ordering_key": selection.ordering_key or None,
        "sequence__gt": selection.after_sequence,
    }
    wanted &= Q(**{name: value for name, value in named.items() if value is not None})
    if selection.ids:
        wanted &= Q(uid__in=selection.ids)
    return Delivery.objects.filter(wanted)


def _reopen(replay: Replay, ids: list[int]) -> int:
    given = Delivery.objects.filter(pk__in=ids)
    endpoints = set(given.values_list("subscription__endpoint_id", flat=True)) - {None}
    channels.ensure(endpoint_ids=endpoints)
    grip = Grip.of(
        ids, endpoints=endpoints, others=Channel.objects.filter(lanes__in=_own_lanes(replay, given))
    )
    rows = (
        Delivery.objects.select_for_update(of=["self"])
        .select_related("subscription", "lane__home")
        .filter(pk__in=ids, status__in=replay.statuses, channel__isnull=False)
        .order_by("pk")
    )
    found = list(rows)
    left_out = grip.in_flight | set(excluded(found))
    taken = [row for row in found if row.pk not in left_out]
    shards = {
        (endpoint, shard): pk
        for endpoint, shard, pk in Channel.objects.filter(endpoint__in=endpoints).values_list(
            "endpoint_id", "shard", "pk"
        )
    }
    # Where each goes: where its subscription sends now; a mail stays with its profile.
    channel_of: dict[int, int] = {}
    by_home: dict[Lane, list[Delivery]] = {}
    for row in taken:
        home = row.lane.home or row.lane if row.lane else None
        endpoint = row.subscription.endpoint_id
        spread = repr((row.subscription_id, home.key, row.recipient)) if home else str(row.event_id)
        channel_of[row.pk] = shards[endpoint, channels.shard_of(spread)] if endpoint else row.channel_id or 0
        if home:
            by_home.setdefault(home, []).append(row)
    lane_of: dict[int, Lane] = {}
    for home, members in by_home.items():
        lane = _lane(replay, home, channel_of[members[0].pk], members)
        lane_of |= dict.fromkeys((row.pk for row in members), lane)
        for row in members:
            if row.subscription.endpoint_id:
                channel_of[row.pk] = lane.channel_id
        grip.woken.add(lane.channel_id)
    groups: dict[tuple[Lane | None, int], list[int]] = {}
    for row in taken:
        groups.setdefault((lane_of.get(row.pk), channel_of[row.pk]), []).append(row.pk)
    for (own_lane, channel), members_ids in groups.items():
        Delivery.objects.filter(pk__in=members_ids).update(
            status=Status.PENDING, hold_cause="", due_at=Now(), settled_at=None, attempt_count=0, crash_count=0,
            last_error="", lane=own_lane, channel=channel, replay=replay,
        )  # fmt: skip
        grip.woken.add(channel)
    grip.write()
    return len(taken)


def _key(replay: Replay, home: Lane) -> str:
    # No ordering key has a line break.
    return f"{home.key}\n(replay {replay.pk})"


def _own_lanes(replay: Replay, given: QuerySet[Delivery]) -> QuerySet[Lane]:
    """Return the lanes that earlier batches made beside those of these deliveries."""
    homes = Coalesce("lane__home", "lane")
    return Lane.objects.filter(home__in=given.values_list(homes), key__endswith=f"\n(replay {replay.pk})")


def _lane(replay: Replay, home: Lane, channel: int, members: list[Delivery]) -> Lane:
    """Return the replay's lane beside this one, with room for these, which come in the order of their numbers."""
    numbers = [row.sequence or 0 for row in members]
    lane, is_new = Lane.objects.get_or_create(
        subscription_id=home.subscription_id,
        key=_key(replay, home),
        recipient=home.recipient,
        defaults={
            "home": home,
            "channel_id": channel,
            "next_sequence": numbers[0],
            "tail": numbers[-1],
            "due_at": Now(),
        },
    )
    if not is_new:
        was_idle = lane.next_sequence > lane.tail
        Lane.objects.filter(pk=lane.pk).update(
            tail=Greatest("tail", Value(numbers[-1])), due_at=Now() if was_idle else F("due_at")
        )
    return lane


def progress(replay: Replay) -> Counter[str]:
    """Return how many of its deliveries are in which status now."""
    rows = Delivery.objects.filter(replay=replay).values_list("status").annotate(n=Count("pk"))
    return Counter(dict(rows.order_by("status")))
