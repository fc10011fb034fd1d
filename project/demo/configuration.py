"""The sample configuration: whoever browses the console after the demo sees a small billing company's.

Rows that exist stay as somebody edited them, so that the demo can run any number of times on one database.
"""

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.db import transaction

from events.keys import create_key
from events.models import ApiKey, EventType, Grant, Queue, Route, Scope, Subscriber
from notifications.letters import defaults, install
from notifications.models import EmailTemplate, Endpoint, ProfileRule, Recipient, Subscription
from smtpprofiles.models import SmtpProfile

from .letters import BILLING, LETTERS, OPERATIONS, Letter
from .rows import ensure, ensure_subscription, ensure_user
from .webhooks import ensure_endpoints, ensure_webhooks

_SHOWS = {letter.event_type: letter.shows for letter in LETTERS}
_SUBSCRIBERS = {
    "ERP connector": "Books every event of the billing system, in order.",
    "Customer care": "Tells customers and the people who look after them.",
    "Revenue operations": "Watches bill runs, commitments and money that is late.",
}
# What nobody needs in order flows into this queue as well.
_BULK = (
    "service.state_transitioned",
    "sim.dormant",
    "usage.threshold_exceeded",
    "invoice.delivered",
    "contract.under_committed",
)
_PROFILES = {
    BILLING: {"host": "smtp.example.test", "address": "billing@telecom.example.com"},
    OPERATIONS: {"host": "smtp-operations.example.test", "address": "operations@telecom.example.com"},
}
_CUSTOMER = "contact.email"
_PUBLISHER = "Billing system"
_KEY = "Demo"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What the demo needs to know of its rows: where they lead, and how to publish."""

    endpoints: tuple[Endpoint, ...]
    profiles: dict[str, SmtpProfile]  # by the names of `letters`
    mail_subscriptions: dict[str, Subscription]  # by event type
    api_key: str

    def shown(self, event_type: str) -> tuple[str, ...]:
        """Return the tokens that a mail about the event must show, as far as its template still uses them."""
        template = self.mail_subscriptions[event_type].email_template
        parts = (template.text, template.html) if template else ()
        return tuple(name for name in _SHOWS[event_type] if all(name in part for part in parts))


@transaction.atomic
def configure() -> Configuration:
    """Make the sample rows that are missing, checked as the console checks them, and a fresh API key."""
    types = {row.code: row for row in EventType.objects.filter(is_active=True)}
    queues = _ensure_queues(types)
    subscribers = {
        name: ensure(
            Subscriber, name=name, defaults={"notes": notes, "contact_email": "integrations@example.com"}
        )
        for name, notes in _SUBSCRIBERS.items()
    }
    endpoints = ensure_endpoints(subscribers)
    ensure_webhooks(endpoints, queues, types)
    profiles = {name: _ensure_profile(name) for name in _PROFILES}
    _ensure_people()
    templates = _ensure_templates()
    mails = {
        letter.event_type: _ensure_mail(
            letter, templates[letter.event_type], subscribers, queues, types[letter.event_type], profiles
        )
        for letter in LETTERS
        if letter.event_type in types
    }
    _resume([*endpoints.values(), *profiles.values()])
    return Configuration(
        endpoints=tuple(endpoints.values()),
        profiles=profiles,
        mail_subscriptions=mails,
        api_key=_fresh_key(queues),
    )


def _ensure_queues(types: dict[str, EventType]) -> dict[str, Queue]:
    described = {
        "billing": (True, "Everything, in order for each account and bill run.", tuple(types)),
        "bulk": (False, "In any order, as fast as receivers can take it.", _BULK),
    }
    queues = {}
    for name, (is_ordered, description, codes) in described.items():
        defaults = {"is_ordered": is_ordered, "description": description}
        queues[name] = ensure(Queue, name=name, defaults=defaults)
        for code in codes:
            if code in types:
                ensure(Route, queue=queues[name], event_type=types[code])
    return queues


def _ensure_profile(name: str) -> SmtpProfile:
    described = _PROFILES[name]
    is_default = name == BILLING and not SmtpProfile.objects.filter(is_default=True).exists()
    return ensure(
        SmtpProfile,
        name=name,
        defaults={
            "host": described["host"],
            "port": 587,
            "security": "starttls",
            "from_name": f"Example Telecom {name}",
            "from_address": described["address"],
            "reply_to": "care@telecom.example.com",
            "username": described["address"].partition("@")[0],
            "password": secrets.token_urlsafe(18),
            "is_default": is_default,
        },
    )


def _ensure_people() -> None:
    """Users and groups of this system, to be mailed; the names of desks, not of persons."""
    ensure_user("billing-desk", group="Billing operations")
    ensure_user("billing-deputy", group="Billing operations")
    ensure_user("network-desk", group="Network operations")
    ensure_user("care-lead")


def _ensure_templates() -> dict[str, EmailTemplate]:
    """Return the product's own mails by event type, those that somebody deleted made anew."""
    install(again=True)
    names = {letter.name: letter.event_type for letter in defaults()}
    return {names[row.name]: row for row in EmailTemplate.objects.filter(name__in=names)}


def _ensure_mail(  # noqa: PLR0917 - every kind of row that it needs
    letter: Letter,
    template: EmailTemplate,
    subscribers: dict[str, Subscriber],
    queues: dict[str, Queue],
    event_type: EventType,
    profiles: dict[str, SmtpProfile],
) -> Subscription:
    """Return the subscription that mails this letter, saved with its rule and recipients."""
    wanted = profiles[letter.profile]
    if letter.profile != BILLING:
        ensure(ProfileRule, event_type=event_type, defaults={"profile": wanted})
    rule = ProfileRule.objects.filter(event_type=event_type).select_related("profile").first()
    chosen = rule.profile if rule else SmtpProfile.objects.filter(is_default=True).first()
    subscription = Subscription(
        subscriber=subscribers[letter.subscriber],
        name=f"{template.name}, by email",
        queue=queues["bulk" if letter.event_type in _BULK else "billing"],
        email_template=template,
        # Named only where an administrator's own rule or default would send it elsewhere.
        profile=None if chosen == wanted else wanted,
    )
    recipients = [
        *([Recipient(token=_CUSTOMER)] if letter.to_customer else []),
        *(Recipient(user=ensure_user(name)) for name in letter.users),
        *(Recipient(group=ensure(Group, name=name)) for name in letter.groups),
        *(Recipient(address=address) for address in letter.addresses),
    ]
    return ensure_subscription(subscription, event_types=[event_type], recipients=recipients)


def _resume(destinations: list[Endpoint | SmtpProfile]) -> None:
    """Open what the system paused while no demo ran to answer it."""
    for row in destinations:
        if row.paused_reason:
            row.paused_reason = ""
            row.save()


def _fresh_key(queues: dict[str, Queue]) -> str:
    """Return a new key of the publisher; the one of the last demo is gone, nobody knows its text."""
    publisher = ensure(Subscriber, name=_PUBLISHER)
    for queue in queues.values():
        ensure(
            Grant,
            subscriber=publisher,
            queue=queue,
            defaults={"can_create": True, "can_update": True, "can_delete": True},
        )
    ApiKey.objects.filter(subscriber=publisher, name=_KEY).delete()
    scopes = [Scope.EVENTS_CREATE, Scope.EVENTS_READ, Scope.DELIVERIES_READ]
    return create_key(subscriber=publisher, name=_KEY, scopes=scopes, is_operator=True)[1]
