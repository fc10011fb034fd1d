"""System checks of the engine's settings, and of django-q2's two queues."""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from .destinations import LONGEST_SEND
from .tasks import DRAIN_BUDGET

DELIVERY = "delivery"
# What a process that only delivers must not start without. The pages and their templates, which it never loads,
# take longer to check than all the rest of its start.
TO_DELIVER = (DELIVERY, Tags.models, Tags.security, Tags.compatibility)

BROKER = "notifications.broker.Broker"
_DELIVERY = "Q_CLUSTER['ALT_CLUSTERS']['delivery']"
_OTHER_BROKERS = ("redis", "django_redis", "iron_mq", "sqs", "mongo")


@register(DELIVERY)
def check_times(**_: Any) -> list[CheckMessage]:
    """A send must end before its lease, and a drain before its task's timeout, and that before its retry."""
    found: list[CheckMessage] = []
    lease = settings.DELIVERY_LEASE_SECONDS
    if lease < LONGEST_SEND + 5:
        found.append(
            Error(
                f"DELIVERY_LEASE_SECONDS is {lease}: a send of {LONGEST_SEND:.0f} s would not fit into its lease.",
                hint=f"Set it to {LONGEST_SEND + 5:.0f} or more.",
                id="notifications.E001",
            )
        )
    delivery = _delivery()
    timeout, retry = delivery.get("timeout") or 0, delivery.get("retry") or 0
    if not DRAIN_BUDGET + 2 * LONGEST_SEND < timeout < retry:
        found.append(
            Error(
                "The delivery cluster's times must be: drain budget and two sends < timeout < retry; "
                f"they are {DRAIN_BUDGET + 2 * LONGEST_SEND:.0f} s, {timeout} s and {retry} s.",
                hint=f"Set timeout to 60 and retry to 120 in {_DELIVERY}.",
                id="notifications.E002",
            )
        )
    if delivery.get("save_limit") != -1:
        found.append(
            Error(
                "The delivery cluster saves task results, which costs 4 ms of every task.",
                hint=f"Set save_limit to -1 in {_DELIVERY}.",
                id="notifications.E003",
            )
        )
    return found


@register(DELIVERY)
def check_queues(**_: Any) -> Iterator[CheckMessage]:
    """E004: there are two queues. E005 to E008: what the delivery queue relies on."""
    if not isinstance(settings.Q_CLUSTER.get("ALT_CLUSTERS", {}).get("delivery"), dict):
        yield Error(
            "There is no delivery queue: nothing would be delivered.",
            hint=f"Give {_DELIVERY} its settings.",
            id="notifications.E004",
        )
        return
    delivery = _delivery()
    for number, (holds, message, hint) in enumerate(_RULES, 5):
        if not holds(delivery):
            yield Error(message, hint=f"{hint} in {_DELIVERY}.", id=f"notifications.E{number:03}")


@register(DELIVERY)
def check_broker(**_: Any) -> Iterator[CheckMessage]:
    """E009: tasks run in workers. E010: they wait in our database. E011: none of the default queue runs twice."""
    for queue, values in (("default", settings.Q_CLUSTER), ("delivery", _delivery())):
        if values.get("sync"):
            yield Error(
                f"The {queue} queue has `sync`: tasks would run in the transaction of whoever queues them.",
                hint="Remove sync from Q_CLUSTER.",
                id="notifications.E009",
            )
        other = [name for name in _OTHER_BROKERS if values.get(name)]
        if other or values.get("broker_class") != BROKER or values.get("orm") not in settings.DATABASES:
            yield Error(
                f"The {queue} queue does not wait in the database, by the database's clock.",
                hint=f"Set broker_class to {BROKER!r} and orm to 'default', and no other broker, in Q_CLUSTER.",
                id="notifications.E010",
            )
    timeout, retry = settings.Q_CLUSTER.get("timeout") or 0, settings.Q_CLUSTER.get("retry") or 0
    if not 0 < timeout < retry:
        yield Error(
            f"The default queue's timeout must be less than its retry; they are {timeout} s and {retry} s.",
            hint="Set timeout to 600 and retry to 900 in Q_CLUSTER: a task would otherwise run twice at once.",
            id="notifications.E011",
        )


def _delivery() -> dict[str, Any]:
    """Return what counts for the delivery cluster: its own settings, and the common ones under them."""
    own = settings.Q_CLUSTER.get("ALT_CLUSTERS", {}).get("delivery")
    return {**settings.Q_CLUSTER, **(own if isinstance(own, dict) else {})}


def _between(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low < value <= high


_RULES: list[tuple[Callable[[dict[str, Any]], bool], str, str]] = [
    (
        lambda q: q.get("max_attempts") == 1 and q.get("ack_failures") is True,
        "A drain task that failed would be run again and again; what it left is found by the next one anyway.",
        "Set max_attempts to 1 and ack_failures to True",
    ),
    (
        lambda q: bool(q.get("workers")) and q.get("queue_limit") == q.get("workers"),
        "The delivery cluster hoards drain tasks that it has no worker for, and other hosts cannot have.",
        "Set queue_limit to the number of workers, and bulk to 1,",
    ),
    (
        lambda q: _between(q.get("poll"), 0, 1) and q.get("bulk", 1) == 1,
        "The delivery cluster does not look for a drain task at least once a second, one at a time.",
        "Set poll to 1 and bulk to 1",
    ),
    (
        lambda q: _between(q.get("recycle"), 0, 1000),
        "Delivery workers are never replaced, or hardly ever: what they leak would add up.",
        "Set recycle to 200",
    ),
]
