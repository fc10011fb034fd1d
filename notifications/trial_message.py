"""Messages for tests: made by the code that makes all of them, of sample data or of a past event, and no deliveries."""

from dataclasses import replace

from django.utils import timezone
from msgspec import structs

from events import ids
from events.models import Event, EventType

from . import rendering, sample
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
        claimed = self._claimed()
        made = rendering.message(claimed, self._notification, self.sender, now=timezone.now())
        made = rendering.complete(made, claimed, self._notification)
        own = ids.public("tst", ids.uuid7())
        return replace(made, id=own, headers=(HEADER, *headers, *made.headers))

    def _claimed(self) -> Claimed:
        pk = self._subscription_id
        if isinstance(self._about, Event):
            return sample.of_event(self._about, is_ordered=False, subscription_id=pk)
        found = sample.of_sample(self._about, is_ordered=False, subscription_id=pk)
        return structs.replace(found, uid=ids.uuid7(), event_uid=ids.uuid7(), occurred_at=timezone.now())
