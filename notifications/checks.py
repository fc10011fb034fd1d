"""System checks of the engine's settings."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from .destinations import LONGEST_SEND
from .tasks import DRAIN_BUDGET


@register
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
    delivery = settings.Q_CLUSTER.get("ALT_CLUSTERS", {}).get("delivery", {})
    timeout, retry = delivery.get("timeout") or 0, delivery.get("retry") or 0
    if not DRAIN_BUDGET + 2 * LONGEST_SEND < timeout < retry:
        found.append(
            Error(
                "The delivery cluster's times must be: drain budget and two sends < timeout < retry; "
                f"they are {DRAIN_BUDGET + 2 * LONGEST_SEND:.0f} s, {timeout} s and {retry} s.",
                hint="Set timeout to 60 and retry to 120 in Q_CLUSTER['ALT_CLUSTERS']['delivery'].",
                id="notifications.E002",
            )
        )
    if delivery.get("save_limit") != -1:
        found.append(
            Error(
                "The delivery cluster saves task results, which costs 4 ms of every task.",
                hint="Set save_limit to -1.",
                id="notifications.E003",
            )
        )
    return found
