"""Objects as they were at a moment, for back-tests; where that is not kept, as they are now, and that is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from events import partitions
from events.as_published import AsPublished, as_at, as_published
from events.models import BillingObject

from . import scope
from .change import Seen

States = dict[str, dict[str, Any]]


@dataclass
class Past:
    """What was known when, and of how many objects that is not kept."""

    guessed: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def begins(self) -> datetime:
        """From when changes are kept."""
        return partitions.begins()

    def family(self, kind: str, external_id: str, at: datetime) -> States:
        """Return the object and its parents as reported by a moment, by kind; empty: it was not known, or deleted."""
        return self._states(kind, as_at(at, [(kind, external_id)]))

    def family_of(self, event: UUID, kind: str, external_id: str) -> States:
        """Return the object and its parents as an event found them."""
        return self._states(kind, as_published(event, [(kind, external_id)]))

    def notes(self) -> list[str]:
        """Say of how many objects the state at the time is not kept."""
        if not self.guessed:
            return []
        number = len(self.guessed)
        which = "1 object" if number == 1 else f"{number:,} objects"
        return [
            f"Changes are kept since {self.begins:%Y-%m-%d}: {which} had to be judged as later known, "
            "not as it was at the time."
        ]

    def is_guess(self, row: BillingObject, at: datetime) -> bool:
        """Note an object whose state at the moment may have been another than the oldest that is kept."""
        is_guess = at < self.begins and row.created_at < self.begins
        if is_guess:
            self.guessed.add((row.kind, row.external_id))
        return is_guess

    def _states(self, kind: str, found: Iterable[AsPublished]) -> States:
        states: States = {}
        for each in found:
            if each.is_forgotten:
                self.guessed.add((each.kind, each.external_id))
                state = scope.family(each.kind, each.external_id).get(each.kind)
            else:
                state = each.state
            if state is not None and not (each.is_deleted and each.kind == kind):
                states.setdefault(each.kind, {"id": each.external_id, **state})
        return states if kind in states else {}


@dataclass(frozen=True, kw_only=True)
class SeenThen(Seen):
    """A change that stands for how an object was during some time."""

    family: Callable[[], States]

    @cached_property
    def states(self) -> States:
        """The object and its parents, as they were then."""
        change = self.change
        return self.family() | {change.kind: {"id": change.external_id, **(change.after or {})}}
