"""Bringing together what was committed and what arrived."""

from collections.abc import Sequence

from notifications.models import Delivery
from tests.bench.publisher import Commit
from tests.bench.recorder import Arrival


def first_arrivals(
    commits: Sequence[Commit], arrivals: Sequence[Arrival]
) -> list[tuple[Commit, Arrival | None]]:
    """Return each commit with the first arrival of its delivery; None if it never came."""
    first: dict[str, Arrival] = {}
    for arrival in sorted(arrivals, key=lambda each: each.at):
        first.setdefault(arrival.webhook_id, arrival)
    deliveries = Delivery.objects.filter(event__uid__in=[commit.event_uid for commit in commits])
    ids = {delivery.event.uid: delivery.public_id for delivery in deliveries.select_related("event")}
    return [(commit, first.get(ids.get(commit.event_uid, ""))) for commit in commits]


def waits(pairs: Sequence[tuple[Commit, Arrival | None]], *, until: float) -> list[float]:
    """Return the seconds from commit to arrival; what never came counts as having come at `until`."""
    return [(arrival.at if arrival else until) - commit.at for commit, arrival in pairs]
