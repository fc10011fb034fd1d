"""The rows a bench starts from: the catalog, endpoints, and a subscription for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from events import sync
from notifications import channels
from notifications.models import Endpoint, Subscription
from tests.bench.receiver import host
from tests.factories import QueueFactory, SubscriberFactory, WebhookSubscriptionFactory


@dataclass(frozen=True, slots=True)
class Targets:
    """Endpoints, each behind a queue of its own, so that an event can be meant for one of them."""

    subscriptions: Sequence[Subscription]

    @property
    def queues(self) -> list[str]:
        """The names of the queues."""
        return [subscription.queue.name for subscription in self.subscriptions]


def targets(
    count: int, *, is_ordered: bool = False, prefix: str = "", first: int = 0, **endpoint: object
) -> Targets:
    """Make endpoints on hosts r0, r1, …, their channels, a queue and a subscription each."""
    sync.sync()
    made: list[Any] = [
        WebhookSubscriptionFactory(
            queue=QueueFactory(name=f"{prefix}bench-{number}", is_ordered=is_ordered),
            endpoint__base_url=f"https://{host(first + number)}",
            endpoint__path=f"/{prefix}{number}",
            **{f"endpoint__{name}": value for name, value in endpoint.items()},
        )
        for number in range(count)
    ]
    channels.ensure(endpoint_ids=[each.endpoint_id for each in made])
    return Targets(made)


def analyse() -> None:
    """Let the planner know what is there, as autovacuum would before long."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def endpoints(count: int) -> list[int]:
    """Make endpoints that nobody subscribes to yet, with their channels; return their ids."""
    subscriber: Any = SubscriberFactory()
    made = Endpoint.objects.bulk_create(
        Endpoint(
            subscriber=subscriber, name=f"dead {number}", base_url=f"https://{host(number)}", path="/dead"
        )
        for number in range(count)
    )
    ids = [endpoint.pk for endpoint in made]
    channels.ensure(endpoint_ids=ids)
    return ids
