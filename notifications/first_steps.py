"""What a new installation needs before its first notification leaves, and which of it is done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from events.models import ApiKey, Scope, Trigger
from smtpprofiles.models import SmtpProfile

from .models import AuditEntry, Endpoint, Subscription

TESTS = ("endpoint.test", "endpoint.check", "smtp_profile.test", "emailtemplate.test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of them."""

    label: str
    about: str
    is_done: bool
    model: type[Model]  # where it is done
    adds: bool  # by adding a row


def steps() -> Iterable[Step]:
    """Return them in their order; each looks for one row."""
    rows: list[tuple[str, str, bool, type[Model], bool]] = [
        (
            "Say how mail goes out",
            "An SMTP profile: server, sender and password. Skip it where everything goes by webhook.",
            SmtpProfile.objects.exists(),
            SmtpProfile,
            True,
        ),
        (
            "Say where webhooks go",
            "An endpoint: the receiver's URL. Its signing secret is shown once. "
            "Skip it where everything goes by email.",
            Endpoint.objects.exists(),
            Endpoint,
            True,
        ),
        (
            "Subscribe somebody",
            "A subscription: which events, to which endpoint or with which mail to whom.",
            Subscription.objects.exists(),
            Subscription,
            True,
        ),
        (
            "Have something happen",
            "A trigger that is active, or an API key by which the billing system publishes events.",
            Trigger.objects.filter(is_active=True).exists() or _may_publish(),
            Trigger,
            False,
        ),
        (
            "Send a test",
            "From the page of an endpoint, a subscription, an SMTP profile or an email template.",
            AuditEntry.objects.filter(action__in=TESTS).exists(),
            Endpoint,
            False,
        ),
    ]
    return [
        Step(label=label, about=about, is_done=done, model=model, adds=adds)
        for label, about, done, model, adds in rows
    ]


def _may_publish() -> bool:
    found: Any = ApiKey.objects.usable()
    return bool(found.filter(scopes__contains=[Scope.EVENTS_CREATE]).exists())
