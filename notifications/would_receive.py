"""Who would receive an event that was not published, and what: by the code that fans out and renders the real ones."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.utils import timezone
from msgspec.structs import replace

from events import catalog_cache
from events.draft import Draft, prepare
from events.models import Event, EventType
from events.refusals import PublishError
from events.signals import specimens_asked
from smtpprofiles.models import SmtpProfile

from . import plans, preview, rendering, sample
from .destinations import Directory
from .fetch import Claimed
from .match import Fact, Plan, recipients, wants
from .models import Subscription
from .selection import Profiles

MOST = 3  # subscriptions shown


@receiver(specimens_asked)
def show(event_type: EventType, data: Mapping[str, Any], at: datetime, **_: Any) -> list[dict[str, str]]:
    """Return for each subscription that would receive it: its name, to whom, and the text or why there is none."""
    try:
        draft = prepare(Draft(type=event_type.code, data=data, occurred_at=at))
    except PublishError:
        return []
    event = Event(
        type=event_type,
        data=draft.payload.text,
        occurred_at=at,
        created_at=at,
        ordering_key=draft.ordering_key,
    )
    queues = {each.id for each in catalog_cache.get(event_type.pk).queues}
    fact = Fact(
        id=0,
        type_id=event_type.pk,
        operation=event_type.operation,
        ordering_key=draft.ordering_key,
        queue_ids=frozenset(queues),
        data=draft.payload.value,
    )
    wanting = [plan for plan in plans.load(queues) if wants(plan, fact)]
    return [shown for plan in wanting[:MOST] for shown in _of(plan, fact, event)]


def _of(plan: Plan, fact: Fact, event: Event) -> Iterator[dict[str, str]]:
    row = Subscription.objects.select_related("queue", "endpoint").get(pk=plan.subscription_id)
    claimed = sample.of_event(event, is_ordered=plan.is_ordered, subscription_id=row.pk)
    if not plan.is_email:
        yield {"subscription": row.name, "to": f"POST to {row.endpoint}"} | _callout(row, claimed)
        return
    address = recipients(plan, fact)[0]
    if not address:
        yield {"subscription": row.name, "to": "Mail", "fault": "It names no valid address for this event."}
        return
    chosen = Profiles.read().choose(plan.profile_id, fact.type_id)
    profile = SmtpProfile.objects.filter(pk=chosen or 0).defer(*SmtpProfile.secrets()).first()
    mail = {"subscription": row.name, "to": f"Mail to {address}"}
    if profile is None:
        yield mail | {"fault": "No SMTP profile: make one the default, or name one in the subscription."}
        return
    yield mail | _mail(row, replace(claimed, recipient=address), profile)


def _callout(row: Subscription, claimed: Claimed) -> dict[str, str]:
    draft = preview.Draft.of(row.queue.name, row.payload_template, row.parameters.all())
    try:
        made = preview.preview(draft, claimed)
    except ValidationError as error:
        return {"fault": " ".join(error.messages)}
    return {"text": made.body}


def _mail(row: Subscription, claimed: Claimed, profile: Any) -> dict[str, str]:
    notification = Directory().notifications([row.pk])[row.pk]
    try:
        made = rendering.message(claimed, notification, profile, now=timezone.now())
    except rendering.Unrenderable as error:
        return {"fault": str(error)}
    message: EmailMessage = message_from_string(made.body, policy=policy.default)
    part = message.get_body(("plain", "html"))
    text = str(part.get_content()) if isinstance(part, EmailMessage) else ""
    return {"subject": str(message["Subject"]), "text": text}
