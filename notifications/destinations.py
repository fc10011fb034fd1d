"""Where messages go, as values: endpoints, profiles and subscriptions read once and kept for two seconds."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection

from smtpprofiles.choices import OnUnknown
from smtpprofiles.encryption import SecretUnreadable
from smtpprofiles.models import SmtpProfile

from .assemble import Letter, letter_of
from .endpoint_destination import destination_of
from .models import Endpoint, Subscription
from .parameters import Given, given
from .retry import Schedule
from .transports.base import Transport
from .transports.email import EmailTransport
from .transports.webhook import WebhookTransport

# A change in the admin acts within this time, in seconds; reading again each time would cost statements.
KEPT_FOR = 2.0
LONGEST_SEND = 15.0  # seconds, of an endpoint's or profile's timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """How the deliveries of one endpoint or profile leave."""

    transport: Transport
    max_in_flight: int  # over all of its channels
    rate_per_minute: int | None
    timeout: float  # seconds, of a whole send
    from_name: str = ""
    from_address: str = ""
    reply_to: str = ""
    holds_unknown: bool = False  # what may have arrived is not sent again without a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a subscription makes of an event."""

    queue: str
    is_paused: bool
    skips_failures: bool
    schedule: Schedule
    parameters: tuple[Given, ...]
    payload_template: str = ""
    letter: Letter | None = None  # email only
    fault: str = ""  # why there is no letter
    opt_out_of: int | None = None  # the subscription that recipients may opt out of


Destination = tuple[int | None, int | None]  # the ids of its endpoint and profile: one of the two


class Unusable(Exception):  # noqa: N818 - named for the fact
    """Nothing can be sent there as it is configured; says why in a sentence."""


class Directory:
    """The senders and notifications that one worker uses."""

    def __init__(self) -> None:
        self._senders: dict[Destination, tuple[float, object, Sender]] = {}
        self._versions: dict[Destination, str] = {}
        self._notifications: dict[int, tuple[float, Notification]] = {}

    def refresh(self, destinations: Collection[Destination]) -> None:
        """Once one of these is due to be read again, see in one statement which were changed; keep the others."""
        now = time.monotonic()
        known_ones = [known for key in destinations if (known := self._senders.get(key))]
        if len(known_ones) == len(destinations) and all(now - read < KEPT_FOR for read, *_ in known_ones):
            return
        SmtpProfile.keep_new_refresh_tokens()
        for key, version in _versions(destinations):
            known = self._senders.get(key)
            if known and self._versions.get(key) == version:
                self._senders[key] = (now, *known[1:])
            # Before the row itself is read: should it change in between, it is read once more.
            self._versions[key] = version

    def sender(self, endpoint_id: int | None, profile_id: int | None) -> Sender:
        """Return the sender of an endpoint or profile; its connections last until it is edited.

        Raises Unusable where a secret cannot be read, or a stored URL is no longer allowed.
        """
        key = (endpoint_id, profile_id)
        known = self._senders.get(key)
        now = time.monotonic()
        if known and now - known[0] < KEPT_FOR:
            return known[2]
        try:
            destination, make = _read(endpoint_id, profile_id)
            sender = known[2] if known and known[1] == destination else make()
        except ValidationError as error:
            raise Unusable(" ".join(error.messages)) from error
        except (SecretUnreadable, ValueError) as error:
            raise Unusable(str(error)) from error
        if known and known[2] is not sender:
            known[2].transport.close()
        self._senders[key] = (now, destination, sender)
        return sender

    def notifications(self, ids: Iterable[int]) -> dict[int, Notification]:
        """Return the notifications of these subscriptions."""
        now = time.monotonic()
        wanted = set(ids)
        stale = [
            pk
            for pk in wanted
            if pk not in self._notifications
            or now - self._notifications[pk][0] >= KEPT_FOR
            # What is held for a pause that is over already would be taken back only by the schedule.
            or self._notifications[pk][1].is_paused
        ]
        if stale:
            related = ("queue", "email_template__layout")
            rows = Subscription.objects.filter(pk__in=stale).select_related(*related)
            for row in rows.prefetch_related("parameters", "email_template__variants"):
                letter, fault = _letter(row)
                self._notifications[row.pk] = (
                    now,
                    Notification(
                        queue=row.queue.name,
                        is_paused=row.is_paused or row.queue.is_paused,
                        schedule=Schedule.of(row.retry_seconds),
                        skips_failures=row.on_failure == Subscription.OnFailure.SKIP,
                        letter=letter,
                        fault=fault,
                        opt_out_of=row.pk if row.allows_opt_out else None,
                        parameters=given(row.parameters.all()),
                        payload_template=row.payload_template,
                    ),
                )
        return {pk: self._notifications[pk][1] for pk in wanted}

    def close(self) -> None:
        """Close every connection."""
        for _, _, sender in self._senders.values():
            sender.transport.close()
        self._senders.clear()


def _letter(subscription: Subscription) -> tuple[Letter | None, str]:
    """Return the letter that a subscription mails, or what is wrong with its template."""
    if subscription.email_template is None:
        return None, ""
    try:
        return letter_of(subscription.email_template), ""
    except ValidationError as error:
        return None, " ".join(error.messages)


def _versions(destinations: Collection[Destination]) -> list[tuple[Destination, str]]:
    """Return what PostgreSQL calls the version of each row: the transaction that wrote it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT id, NULL, xmin::text FROM notifications_endpoint WHERE id = ANY(%s)
               UNION ALL SELECT NULL, id, xmin::text FROM smtpprofiles_smtpprofile WHERE id = ANY(%s)""",
            [[key[0] for key in destinations if key[0]], [key[1] for key in destinations if key[1]]],
        )
        return [((endpoint, profile), version) for endpoint, profile, version in cursor.fetchall()]


def _read(endpoint_id: int | None, profile_id: int | None) -> tuple[object, Callable[[], Sender]]:
    """Return the destination's values, which tell whether it changed, and how to make its sender."""
    if endpoint_id:
        endpoint = Endpoint.objects.get(pk=endpoint_id)
        webhook = destination_of(endpoint)
        limits = (endpoint.max_in_flight, endpoint.rate_per_minute)
        return (webhook, limits), lambda: Sender(
            transport=WebhookTransport(webhook),
            max_in_flight=endpoint.max_in_flight,
            rate_per_minute=endpoint.rate_per_minute,
            timeout=webhook.timeout_seconds,
        )
    profile = SmtpProfile.objects.get(pk=profile_id or 0)
    account = profile.account()
    rest = (profile.max_connections, profile.rate_per_minute, profile.from_name, profile.from_address,
            profile.reply_to, profile.on_unknown)  # fmt: skip
    return (account, rest), lambda: Sender(
        transport=EmailTransport(account),
        max_in_flight=profile.max_connections,
        rate_per_minute=profile.rate_per_minute,
        timeout=account.timeout_seconds,
        from_name=profile.from_name,
        from_address=profile.from_address,
        reply_to=profile.reply_to,
        holds_unknown=profile.on_unknown == OnUnknown.HOLD,
    )
