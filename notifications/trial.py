"""Sending one test to an endpoint, and telling step by step how it went.

A test goes out by the code that sends deliveries. It is none: nothing is kept but the audit entry, no circuit
learns of it, and it may go to an endpoint that is paused.
"""

from dataclasses import dataclass
from typing import cast

from events.models import Event, EventType

from .advice import Advice, advise, url_of
from .audit import Actor, record
from .models import Endpoint, Subscription
from .transports.base import MASK, Message, Outcome
from .transports.trace import Step, Trace
from .transports.webhook import WebhookTransport
from .trial_message import Maker


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A test that was sent: what went out, what came back, and what it means."""

    url: str
    message: Message
    body: str  # as it may be shown
    outcome: Outcome
    steps: tuple[Step, ...]
    advice: Advice


def send_test(
    endpoint: Endpoint,
    *,
    about: EventType | Event,
    subscription: Subscription | None,
    actor: Actor,
    reason: str = "",
) -> Trial:
    """Send a test within the endpoint's time, and have it written down.

    destinations.Unusable or rendering.Unrenderable where there is nothing to send or nowhere to send it to.
    """
    maker = Maker(endpoint, about=about, subscription=subscription)
    message = maker.message()
    # Before it goes out: whatever becomes of it, it was asked for.
    record(actor, "endpoint.test", [f"endpoint {endpoint.pk}"], f"With {told(about)}. {reason}".strip())
    trace = Trace()
    outcome = cast(WebhookTransport, maker.sender.transport).send(message, trace)
    return Trial(
        url=url_of(outcome.request_headers) or endpoint.url,
        message=message,
        body=_shown(message),
        outcome=outcome,
        steps=tuple(trace.steps(outcome)),
        advice=advise(outcome),
    )


def _shown(message: Message) -> str:
    body = message.body
    for secret in message.secrets:
        body = body.replace(secret, MASK)
    return body


def told(about: EventType | Event) -> str:
    """Return what a test is about, in words."""
    return f"the event {about.public_id}" if isinstance(about, Event) else f"the sample of {about.code}"
