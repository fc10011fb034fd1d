"""Why an event was not published: each exception names the field and says what would be right."""

# ruff: noqa: N818  # an exception here is named for the fact, as Django names its own

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One fault: where (a JSON pointer into what was sent) and what would be right."""

    field: str
    detail: str


class PublishError(Exception):
    """An event that was not published; nothing of it was written.

    `field` is a JSON pointer (RFC 6901) into the event as it was sent, such as `/data/invoice/total`.
    """

    title = "The event was refused"

    def __init__(self, detail: str, *, field: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field

    @property
    def errors(self) -> list[FieldError]:
        """Every fault that was found."""
        return [FieldError(field=self.field, detail=self.detail)]


class InvalidField(PublishError):
    """A field beside the payload is not what it must be."""

    title = "Invalid field"


class UnknownEventType(PublishError):
    """The catalog has no such event type."""

    title = "Unknown event type"


class InactiveEventType(PublishError):
    """The event type exists, but an administrator has switched it off."""

    title = "Inactive event type"


class UnknownQueue(PublishError):
    """There is no queue of that name."""

    title = "Unknown queue"


class NotRouted(PublishError):
    """The queue exists, but the event type does not flow into it."""

    title = "Event type not routed to the queue"


class NoOrderingKey(PublishError):
    """An in-order queue is among the targets, and neither the call nor the payload gives an ordering key."""

    title = "No ordering key"


class MissingGrant(PublishError):
    """The publisher may not create entries on a queue that the event would go to."""

    title = "No grant on the queue"


class SeveralFaults(PublishError):
    """What was sent is wrong in one or more places."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(errors[0].detail, field=errors[0].field)
        self._errors = list(errors)

    @property
    def errors(self) -> list[FieldError]:
        """Every fault that was found."""
        return list(self._errors)


class InvalidPayload(SeveralFaults):
    """The payload is no JSON object within the limits, or breaks the event type's schema."""

    title = "Invalid payload"


class PayloadTooLarge(InvalidPayload):
    """The payload is longer than an event may be."""

    title = "Payload too large"


class StateConflict(PublishError):
    """What is asked for cannot be done in the state that things are in. `members` tell programs more of it."""

    title = "Not in a state for this"

    def __init__(self, detail: str, *, field: str = "", **members: object) -> None:
        super().__init__(detail, field=field)
        self.members = members


class IdempotencyConflict(PublishError):
    """The key was used before, for other content. `first` is that event; `differing` names the fields."""

    title = "Idempotency key used for other content"

    def __init__(self, first: "Event", differing: Sequence[str]) -> None:
        what = ", ".join(differing) if differing else "its content (the first event is no longer kept)"
        super().__init__(
            f"This key already published {first.public_id}, which differs in: {what}. "
            "Send the same content again, or use a new key.",
            field="/idempotency_key",
        )
        self.first = first
        self.differing = list(differing)

    @property
    def errors(self) -> list[FieldError]:
        """One fault per field that differs."""
        if not self.differing:
            return super().errors
        return [
            FieldError(field=f"/{name}", detail=f"Not the same as in {self.first.public_id}.")
            for name in self.differing
        ]


class BatchRefused(PublishError):
    """Nothing of the batch was published. `refusals` maps the position (from 0) to its reason.

    `place` is the pointer to the list of events, such as `/events`.
    """

    title = "The batch was refused"

    def __init__(self, refusals: dict[int, PublishError], *, place: str = "") -> None:
        super().__init__(
            f"{len(refusals)} event(s) of the batch were refused; nothing was published.", field=place
        )
        self.refusals = refusals

    @property
    def errors(self) -> list[FieldError]:
        """Every fault of every event, each pointer beginning with the event's position."""
        return [
            FieldError(field=f"{self.field}/{position}{error.field}", detail=error.detail)
            for position, refusal in sorted(self.refusals.items())
            for error in refusal.errors
        ]
