"""Changing an event while nothing of it has been sent: its payload, its time, and whether it is held.

1. The event's row is locked first (not against the foreign keys of its deliveries), then what fan-out locks,
   then channels, lanes and deliveries: as everybody locks them.
2. What a worker has taken may be sent: then nothing is changed. What was rendered is dropped with the old text.
3. A payload that is amended is matched again: who is not concerned any more is told nothing, who is now gets
   it at the end of the lane; everybody else gets it in its place.
4. A later time takes an event out of its lanes; it gets their next numbers when it falls due, and what is sent
   until then says that the old ones were skipped.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from events import amended, moments, wake
from events.grants import Caller, affected_queues, check_change
from events.models import Event, InboxEntry, QuarantinedEvent, WithheldEvent
from events.refusals import InvalidField, StateConflict

from . import deliveries, fan_out, membership, operate
from .audit import record
from .grip import Grip
from .models import Delivery, RenderedBody
from .nudge import nudge
from .sent import refuse_sent

TRIES = 20  # while fan-out is at work on it
Cause = Delivery.HoldCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to change; None (or `reschedules` False) leaves it as it is."""

    data: bytes | None = None
    reschedules: bool = False
    deliver_at: datetime | None = None  # None: at once
    held: bool | None = None

    def told(self, event: Event) -> str:
        """Return it in a line, for the audit log; of a payload only by what it can be recognised."""
        parts = []
        if self.data is not None:
            before, after = sha256(event.data.encode()).hexdigest(), sha256(self.data).hexdigest()
            parts.append(f"data: SHA-256 {before} became {after}")
        if self.reschedules:
            parts.append(f"deliver_at: {self.deliver_at.isoformat() if self.deliver_at else 'at once'}")
        if self.held is not None:
            parts.append("held" if self.held else "released")
        return "; ".join(parts)


class _NotFannedOut(Exception):  # noqa: N818 - named for the fact
    """It is on its way into its lanes, where it is to be held."""


def amend(event_id: int, change: Change, caller: Caller) -> Event:
    """Return the event as it is now; raise a PublishError that says why it could not be changed."""
    if change.deliver_at is not None and not moments.is_storable(change.deliver_at):
        raise InvalidField(moments.OUTSIDE, field="/deliver_at")
    for _ in range(TRIES):
        try:
            return operate.deadlocks_again(partial(_amend, event_id, change, caller))
        except _NotFannedOut:
            fan_out.fan_out()
    raise StateConflict("Many events wait before this one to be fanned out; try again in a moment.")


@transaction.atomic
def _amend(event_id: int, change: Change, caller: Caller) -> Event:
    event = Event.objects.select_for_update(no_key=True, of=["self"]).select_related("type").get(pk=event_id)
    # A statement of its own, so that what follows sees all that fan-out has written.
    hold_fan_out()
    own = Delivery.objects.filter(event=event)
    queues = affected_queues(event) | set(own.values_list("subscription__queue", flat=True))
    check_change(event, "update", caller, queues)
    membership.refuse_own(event)
    content = amended.check(event, change.data) if change.data is not None else None
    told = change.told(event)
    refuse_cancelled(event)
    waits = change.deliver_at if change.deliver_at and change.deliver_at > timezone.now() else None
    if _is_aside(event):
        _rearrange(event, change, waits, content.text if content else None)
    else:
        _rework(event, change, waits, content.text if content else None)
    record(caller, "event.amend", [event.public_id], told)
    return event


def hold_fan_out() -> None:
    """Keep events from being fanned out until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [fan_out.LOCK])


def refuse_cancelled(event: Event) -> None:
    """Raise StateConflict if its publisher took it back."""
    if WithheldEvent.objects.filter(event=event, cause=WithheldEvent.Cause.CANCELLED).exists():
        raise StateConflict(
            "It was cancelled. Publish it again, under a new idempotency key.", state="cancelled"
        )


def _is_aside(event: Event) -> bool:
    """Whether it has no deliveries yet: it waits for fan-out, is held before it, or made it fail."""
    return any(
        kind.objects.filter(event=event).exists() for kind in (InboxEntry, WithheldEvent, QuarantinedEvent)
    )


def _save(event: Event, change: Change, text: str | None) -> None:
    if text is not None:
        event.data = text
    if change.reschedules:
        event.deliver_at = change.deliver_at
    event.save(update_fields=["data", "deliver_at"])


def _rearrange(event: Event, change: Change, waits: datetime | None, text: str | None) -> None:
    """Change what is not fanned out."""
    is_held = WithheldEvent.objects.filter(event=event).exists()
    _save(event, change, text)
    if not change.reschedules:
        waits = event.deliver_at if event.deliver_at and event.deliver_at > timezone.now() else None
    ready = InboxEntry.objects.filter(Q(due_at=None) | Q(due_at__lte=Now()), event=event)
    if change.held and not waits and ready.exists():
        raise _NotFannedOut  # held in its lanes, so that they wait behind it
    InboxEntry.objects.filter(event=event).delete()
    QuarantinedEvent.objects.filter(event=event).delete()
    if change.held or (is_held and change.held is None):
        WithheldEvent.objects.get_or_create(event=event, defaults={"cause": WithheldEvent.Cause.HELD})
        return
    WithheldEvent.objects.filter(event=event).delete()
    InboxEntry.objects.create(event=event, due_at=waits)
    wake.after_commit(1)


def _rework(event: Event, change: Change, waits: datetime | None, text: str | None) -> None:
    """Change what is fanned out, all of it under lock and none of it sent."""
    _save(event, change, text)
    drafts = fan_out.drafts_of(event) if text is not None else []
    wanted = {(each.subscription_id, each.recipient): each for each in drafts}
    own = Delivery.objects.filter(event=event)
    grip = Grip.of(
        own.values_list("pk", flat=True),
        endpoints={each.endpoint_id for each in wanted.values() if each.endpoint_id},
        profiles={each.profile_id for each in wanted.values() if each.profile_id},
    )
    rows = list(own.select_for_update(of=["self"]).select_related("subscription").order_by("pk"))
    refuse_sent(event, rows, grip)
    if change.reschedules and waits:
        _take_out(event, rows, grip, waits, held=_is_held(rows) if change.held is None else change.held)
        return
    waiting = [row for row in rows if row.status in Delivery.UNFINISHED]
    for row in waiting:
        grip.touch(row)
    if text is not None:
        RenderedBody.objects.filter(delivery__in=[row.pk for row in rows]).delete()
        _render_again(rows, grip)
        _match_again(rows, wanted, grip, held=bool(_is_held(rows) or change.held))
    if change.held is not None:
        _hold(waiting, grip, is_held=change.held)
    grip.write()
    transaction.on_commit(partial(nudge), robust=True)


def _is_held(rows: list[Delivery]) -> bool:
    return any(row.hold_cause == Cause.PUBLISHER for row in rows)


def _hold(waiting: list[Delivery], grip: Grip, *, is_held: bool) -> None:
    """Hold what waits, or let go what was held by this; what a person or a fault holds stays with them."""
    own = Delivery.objects.filter(pk__in=[row.pk for row in waiting], status__in=Delivery.UNFINISHED)
    waits = Q(status__in=Delivery.WAITING) | Q(hold_cause=Cause.COLLECTED)
    chosen = own.filter(waits) if is_held else own.filter(hold_cause=Cause.PUBLISHER)
    ids = set(chosen.values_list("pk", flat=True))
    for row in waiting:
        if row.pk in ids and is_held:
            grip.block_lane(row)
        elif row.pk in ids:
            grip.free_lane(row, passes=False)
    if is_held:
        membership.take_out(ids)
    operate.change("hold" if is_held else "release", own.filter(pk__in=ids), cause=Cause.PUBLISHER)


def _render_again(rows: list[Delivery], grip: Grip) -> None:
    """Let go on what could not be put into words as the event was."""
    failed = [row for row in rows if row.hold_cause == Cause.RENDERING]
    for row in failed:
        grip.free_lane(row, passes=False)
    operate.change("release", Delivery.objects.filter(pk__in=[row.pk for row in failed]))


def _match_again(
    rows: list[Delivery], wanted: dict[tuple[int, str], deliveries.Draft], grip: Grip, *, held: bool
) -> None:
    known = {(row.subscription_id, row.recipient) for row in rows}
    gone = [
        row
        for row in rows
        if (row.subscription_id, row.recipient) not in wanted and row.status in Delivery.UNFINISHED
    ]
    for row in gone:
        grip.free_lane(row, passes=True)
    membership.take_out([row.pk for row in gone])
    left = Delivery.objects.filter(pk__in=[row.pk for row in gone])
    operate.change("cancel", left)
    left.update(last_error="The event was amended, and does not match this subscription any more.")
    added = [draft for key, draft in wanted.items() if key not in known]
    if not added:
        return
    deliveries.write(added, locks_more=True)
    if held:
        new = Delivery.objects.filter(event=added[0].event_id, status__in=Delivery.WAITING)
        # A worker that comes to them stops their lanes.
        operate.change("hold", new.exclude(pk__in=[row.pk for row in rows]), cause=Cause.PUBLISHER)


def _take_out(event: Event, rows: list[Delivery], grip: Grip, waits: datetime, *, held: bool) -> None:
    """Put a fanned-out event back to where it waits for its time."""
    final: list[Any] = [row for row in rows if row.status in {"cancelled", "skipped"}]
    if final:
        names = [row.public_id for row in final]
        raise StateConflict(
            f"{', '.join(names[:5])} was cancelled or skipped, and would be sent after all. "
            "Cancel the event, and publish it again for the other time.",
            deliveries=names,
        )
    for row in rows:
        grip.free_lane(row, passes=True)
    grip.write()
    ids = [row.pk for row in rows]
    RenderedBody.objects.filter(delivery__in=ids).delete()
    Delivery.objects.filter(pk__in=ids).delete()
    if held:
        WithheldEvent.objects.create(event=event, cause=WithheldEvent.Cause.HELD)
    else:
        InboxEntry.objects.create(event=event, due_at=waits)
        wake.after_commit(1)
    transaction.on_commit(partial(nudge), robust=True)
