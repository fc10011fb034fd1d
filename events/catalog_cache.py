"""What publishing needs to know of the catalog, kept for a few seconds in each process.

A change made in this process is seen at once; one made in another, within MAX_AGE seconds.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from .models import EventType, Queue, Route, Trigger, TriggerCancellation
from .schema import Checker
from .schema import checker as compiled

MAX_AGE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A queue that an event type flows into."""

    id: int
    name: str
    is_ordered: bool


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An event type, as far as publishing is concerned; `queues` are sorted by name."""

    id: int
    code: str
    is_active: bool
    ordering_prefix: str
    ordering_path: str
    schema: dict[str, Any]
    queues: tuple[Target, ...]
    is_anchor: bool  # rules look at its events

    @cached_property
    def checker(self) -> Checker:
        """The compiled schema; raises InvalidSchemaError if the row holds a broken one."""
        return compiled(self.schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    by_code: Mapping[str, Entry]
    by_id: Mapping[int, Entry]
    queue_names: frozenset[str]
    read_at: float


_snapshot: _Snapshot | None = None


def find(code: str) -> Entry | None:
    """Return the event type of that code, or None if there is none."""
    return _fresh().by_code.get(code) or _read().by_code.get(code)


def get(event_type_id: int) -> Entry:
    """Return the event type of that primary key."""
    return _fresh().by_id.get(event_type_id) or _read().by_id[event_type_id]


def codes() -> list[str]:
    """Return the codes of all event types."""
    return list(_fresh().by_code)


def queue_names() -> frozenset[str]:
    """Return the names of all queues."""
    return _fresh().queue_names


def clear(**_signal: Any) -> None:
    """Forget everything, so that the next question is answered from the database."""
    global _snapshot  # noqa: PLW0603  # replaced as a whole, so that threads never see a half of it
    _snapshot = None


def _fresh() -> _Snapshot:
    snapshot = _snapshot
    if snapshot is None or time.monotonic() - snapshot.read_at > MAX_AGE:
        return _read()
    return snapshot


def _read() -> _Snapshot:
    global _snapshot  # noqa: PLW0603
    read_at = time.monotonic()
    targets: defaultdict[int, list[Target]] = defaultdict(list)
    for route in Route.objects.select_related("queue").order_by("queue__name"):
        queue = route.queue
        targets[route.event_type_id].append(Target(id=queue.pk, name=queue.name, is_ordered=queue.is_ordered))
    anchors = {
        *Trigger.objects.filter(is_active=True, anchor__isnull=False).values_list("anchor_id", flat=True),
        *TriggerCancellation.objects.filter(trigger__is_active=True).values_list("event_type_id", flat=True),
    }
    entries = [
        Entry(
            id=row.pk,
            code=row.code,
            is_active=row.is_active,
            ordering_prefix=row.ordering_prefix,
            ordering_path=row.ordering_path,
            schema=row.schema,
            queues=tuple(targets[row.pk]),
            is_anchor=row.pk in anchors,
        )
        for row in EventType.objects.defer("sample", "description")
    ]
    _snapshot = _Snapshot(
        by_code={entry.code: entry for entry in entries},
        by_id={entry.id: entry for entry in entries},
        queue_names=frozenset(Queue.objects.values_list("name", flat=True)),
        read_at=read_at,
    )
    return _snapshot


def _changed(**_signal: Any) -> None:
    clear()
    # Another thread may read the old rows before this transaction commits.
    transaction.on_commit(clear, robust=True)


for _model in (EventType, Queue, Route, Trigger, TriggerCancellation):
    post_save.connect(_changed, sender=_model, dispatch_uid=f"catalog_cache.{_model.__name__}.save")
    post_delete.connect(_changed, sender=_model, dispatch_uid=f"catalog_cache.{_model.__name__}.delete")
m2m_changed.connect(_changed, sender=Route, dispatch_uid="catalog_cache.routes")
