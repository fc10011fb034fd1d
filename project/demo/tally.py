"""Counting, by kind of event, what was posted, what was expected and what arrived. No database."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from .expected import Known
from .hooks import Callout
from .mailbox import Arrival
from .posting import Posted

Thing = TypeVar("Thing", Callout, Arrival)


@dataclass(kw_only=True)
class Row:
    """How far one kind of event has come; `milliseconds` from each POST to each arrival."""

    type: str
    wanted: int
    statuses: list[int] = field(default_factory=list)
    waiting: int = 0
    webhooks: int = 0
    webhooks_expected: int = 0
    mails: int = 0
    mails_expected: int = 0
    milliseconds: list[float] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every event of the kind was taken and became deliveries of both sorts that all arrived."""
        taken = len(self.statuses) == self.wanted and set(self.statuses) == {201} and not self.waiting
        return taken and 0 < self.webhooks_expected == self.webhooks and 0 < self.mails_expected == self.mails


@dataclass(kw_only=True)
class Tally:
    """Everything at one moment; callouts and mails are by delivery, in order of arrival."""

    rows: dict[str, Row]
    posted: dict[str, Posted]  # those taken, by event
    known: Known
    callouts: dict[str, list[Callout]]
    mails: dict[str, list[Arrival]]

    @property
    def is_complete(self) -> bool:
        """Whether everything arrived, and the database knows it."""
        settled = all(delivery.is_delivered for delivery in self.known.deliveries)
        return settled and all(row.is_complete for row in self.rows.values())


def tally(
    *,
    wanted: Mapping[str, int],
    posted: Iterable[Posted],
    known: Known,
    callouts: Iterable[Callout],
    arrivals: Iterable[Arrival],
) -> Tally:
    """Return how it stands; `wanted` counts the events to be posted, by type.

    What arrives of an earlier run, or of somebody's own subscriptions, is left out.
    """
    ours = {delivery.id for delivery in known.deliveries}
    result = Tally(
        rows={code: Row(type=code, wanted=count) for code, count in wanted.items()},
        posted={},
        known=known,
        callouts=_by_delivery((callout for callout in callouts if callout.is_verified), ours),
        mails=_by_delivery(arrivals, ours),
    )
    for each in posted:
        row = result.rows[each.type]
        row.statuses.append(each.status)
        if each.event_id:
            result.posted[each.event_id] = each
            row.waiting += each.event_id in known.waiting
    for delivery in known.deliveries:
        event = result.posted[delivery.event_id]
        row = result.rows[event.type]
        came: list[Callout] | list[Arrival]
        if delivery.is_mail:
            came = result.mails.get(delivery.id, [])
            row.mails_expected += 1
            row.mails += bool(came)
        else:
            came = result.callouts.get(delivery.id, [])
            row.webhooks_expected += 1
            row.webhooks += bool(came)
        if came:
            row.milliseconds.append((came[0].at - event.at) * 1000)
    return result


def _by_delivery(things: Iterable[Thing], ours: set[str]) -> dict[str, list[Thing]]:
    found: dict[str, list[Thing]] = defaultdict(list)
    for each in things:
        if each.id in ours:
            found[each.id].append(each)
    return dict(found)
