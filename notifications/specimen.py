"""A mail made for looking at: from a sample or an event that happened, by the code that makes the real ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils import timezone

from events import ids
from events.models import Event, EventType
from smtpprofiles.models import SmtpProfile

from . import audit, liquid, mail, mail_values, rendering, sample
from .assemble import letter_of
from .destinations import Directory, Notification, Unusable
from .models import EmailTemplate, Subscription
from .retry import Schedule
from .transports.base import Message, Outcome, Verdict

READER = "reader@example.com"


class NoSpecimen(Exception):  # noqa: N818 - named for the fact
    """There is nothing to look at; says why in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A mail, taken apart as a mail program does."""

    headers: list[tuple[str, str]]
    text: str
    html: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How a test went."""

    recipient: str
    profile: str
    outcome: Outcome

    @property
    def is_delivered(self) -> bool:
        """Whether the server took it."""
        return self.outcome.verdict == Verdict.DELIVERED


def make(template: EmailTemplate, *, event_type: EventType, event_id: str = "", locale: str = "") -> Specimen:
    """Return the mail about a sample, or about the event with an id. Raises NoSpecimen."""
    profile = SmtpProfile.objects.filter(is_default=True).defer(*SmtpProfile.secrets()).first()
    sender = profile or SmtpProfile(from_name=settings.OWNER_NAME, from_address="sender@example.com")
    notification = _notification(template)
    context = _context(notification, event_type, event_id, locale)
    contact = context.get("contact")
    reader = str(contact.get("email") or READER) if isinstance(contact, Mapping) else READER
    raw = _compose(notification, sender, context, reader, ids.public("dlv", ids.uuid7()))
    message: EmailMessage = message_from_string(raw, policy=policy.default)
    return Specimen(
        headers=[(name, str(value)) for name, value in message.items() if name != "MIME-Version"],
        text=_part(message, "plain"),
        html=_part(message, "html"),
        raw=raw,
    )


def send(
    template: EmailTemplate,
    profile: SmtpProfile,
    *,
    actor: AbstractBaseUser,
    recipient: str,
    event_type: EventType,
    event_id: str = "",
    locale: str = "",
    subscription: Subscription | None = None,
) -> Sent:
    """Mail it to somebody now, marked as a test; return how it went. Raises NoSpecimen.

    As `subscription` sends it, where one is given.
    """
    notification = _notification(template, subscription)
    if notification.letter:
        words = tuple(replace(each, subject=f"[Test] {each.subject}") for each in notification.letter.words)
        notification = replace(notification, letter=replace(notification.letter, words=words))
    context = _context(notification, event_type, event_id, locale)
    public_id = ids.public("dlv", ids.uuid7())
    directory = Directory()
    try:
        sender = directory.sender(None, profile.pk)
        raw = _compose(notification, sender, context, recipient, public_id)
        outcome = sender.transport.send(Message(id=public_id, body=raw, recipient=recipient))
    except Unusable as error:
        outcome = Outcome(
            verdict=Verdict.BLOCKED, started_at=timezone.now(), duration=timedelta(), detail=str(error)
        )
    finally:
        directory.close()
        SmtpProfile.keep_new_refresh_tokens()
    name = f"{template} to {recipient} by {profile}"
    if subscription:
        name = f"{name}, as {subscription} sends it"
    audit.record(actor, "emailtemplate.test", [name], f"{outcome.verdict}: {outcome.detail}"[:500])
    return Sent(recipient=recipient, profile=profile.name, outcome=outcome)


def _notification(template: EmailTemplate, subscription: Subscription | None = None) -> Notification:
    try:
        letter = letter_of(template)
    except ValidationError as error:
        raise NoSpecimen(" ".join(error.messages)) from error
    allows = template.subscriptions.filter(allows_opt_out=True).order_by("pk")
    if subscription:
        allows = allows.filter(pk=subscription.pk)
    return Notification(
        queue="",
        is_paused=False,
        skips_failures=False,
        schedule=Schedule(),
        parameters=(),
        letter=letter,
        opt_out_of=allows.values_list("pk", flat=True).first(),
    )


def _context(notification: Notification, event_type: EventType, event_id: str, locale: str) -> dict[str, Any]:
    """Return the values of the event, or of the sample, as templates see them."""
    event = None
    if event_id:
        uid = ids.parse("evt", event_id)
        event = Event.objects.filter(uid=uid).select_related("type").first() if uid else None
        if event is None:
            raise NoSpecimen(f"There is no event {event_id}. Copy the id of one from Events: evt_…")
        if event.type_id != event_type.pk:
            raise NoSpecimen(f"{event_id} is a {event.type.code}. Choose that event type, or another event.")
    claimed = sample.of_event(event) if event else sample.of_sample(event_type)
    context = rendering.tokens(claimed, now=timezone.now())
    if event and notification.letter:
        try:
            context = mail_values.with_objects(
                context, notification.letter, about=event_type.code, event=event.uid
            )
        except liquid.TemplateFault as fault:
            raise NoSpecimen(str(fault)) from fault
    if locale:
        account = context.get("account")
        context["account"] = {**(account if isinstance(account, dict) else {}), "locale": locale}
    return context


def _compose(
    notification: Notification, sender: mail.Letterhead, context: dict[str, Any], to: str, public_id: str
) -> str:
    try:
        return mail.compose(
            notification, sender, context, recipient=to, public_id=public_id, now=timezone.now()
        )
    except liquid.TemplateFault as fault:
        raise NoSpecimen(str(fault)) from fault
    except ValueError as error:
        raise NoSpecimen(f"It cannot be addressed: {error}") from error


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if isinstance(part, EmailMessage) else ""
