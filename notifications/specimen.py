"""Messages for tests: made by the code that makes all of them, of sample data or of a past event, and no deliveries."""

import dataclasses

from django.utils import timezone

from events import ids, payload
from events.models import Event, EventType

from . import rendering
from .destinations import Directory, Notification, Sender
from .fetch import Claimed
from .models import Endpoint, Subscription
from .retry import Schedule
from .transports.base import Message
from .transports.trace import HEADER

# What an endpoint without a subscription is sent: nothing added.
_PLAIN = Notification(
    queue="test",
    is_paused=False,
    skips_failures=False,
    schedule=Schedule(),
    parameters=(),
    subject="",
    text="",
    html="",
)


class Maker:
    """Makes messages for one endpoint as one of its subscriptions would, of a type's sample or of an event."""

    def __init__(
        self, endpoint: Endpoint, *, about: EventType | Event, subscription: Subscription | None
    ) -> None:
        """Read what is needed. Raises destinations.Unusable where nothing can be sent to the endpoint."""
        directory = Directory()
        self.sender: Sender = directory.sender(endpoint.pk, None)
        self._about = about
        self._subscription_id = subscription.pk if subscription else 0
        self._notification = _PLAIN
        if subscription:
            self._notification = directory.notifications([subscription.pk])[subscription.pk]

    def message(self, *headers: tuple[str, str]) -> Message:
        """Return a message with an id of its own, marked as a test. Raises rendering.Unrenderable."""
        now = timezone.now()
        made = rendering.message(self._claimed(), self._notification, self.sender, now=now)
        own = ids.public("tst", ids.uuid7())
        return dataclasses.replace(made, id=own, headers=(HEADER, *headers, *made.headers))

    def _claimed(self) -> Claimed:
        about, now = self._about, timezone.now()
        if isinstance(about, Event):
            event_type, data = about.type, about.data
            own = (about.uid, about.source, about.occurred_at, about.ordering_key)
        else:
            event_type, data = about, payload.parse(about.sample).text
            own = (ids.uuid7(), "test", now, "")
        uid, source, occurred_at, ordering_key = own
        return Claimed(
            id=0,
            uid=ids.uuid7(),
            channel_id=0,
            epoch=0,
            lane_id=None,
            sequence=None,
            status="pending",
            subscription_id=self._subscription_id,
            recipient="",
            attempt_count=0,
            crash_count=0,
            created_at=now,
            previous_uid=None,
            previous_sequence=None,
            body=None,
            headers=None,
            query=None,
            event_uid=uid,
            event_type=event_type.code,
            event_label=event_type.label,
            event_source=source,
            occurred_at=occurred_at,
            ordering_key=ordering_key,
            data=data,
        )
