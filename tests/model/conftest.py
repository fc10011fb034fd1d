"""What every model test starts from: subscriptions in and out of order, and leases that only the model ends."""

from collections.abc import Sequence
from typing import Any

import pytest
from pytest_django import Settings

from events.models import EventType
from notifications import nudge
from notifications.models import Subscription
from tests.factories import EndpointFactory, QueueFactory, WebhookSubscriptionFactory


@pytest.fixture
def subscribed(
    catalog: dict[str, EventType], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Sequence[Subscription]:
    """Four subscriptions: two in order that hold, one in order that skips, one in any order."""
    settings.DELIVERY_LEASE_SECONDS = 600
    # Announcements go out at once, not from a timer's thread.
    monkeypatch.setattr(nudge, "QUIET", 0.0)
    # The first endpoint's channels are locked first: test_mutants.py stops a sequencer there.
    first, endpoint = EndpointFactory(), EndpointFactory()
    ordered = QueueFactory()
    common = {"endpoint": endpoint, "subscriber": endpoint.subscriber}
    made: list[Any] = [
        WebhookSubscriptionFactory(queue=ordered, retry_seconds=[5, 300], **common),
        WebhookSubscriptionFactory(queue=ordered, retry_seconds=[0], on_failure="skip", **common),
        WebhookSubscriptionFactory(queue=ordered, retry_seconds=[0, 0], endpoint=first),
        WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), retry_seconds=[5, 0], **common),
    ]
    return made
