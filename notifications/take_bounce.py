"""Taking in a bounce mail: it finds its delivery, says what became of it, and stops mail to an address that is gone.

1. It counts only where it names a mail of ours (whose id nobody guesses) and the recipient of that mail.
2. What names none is kept as it came, a thousand an hour and profile at most, and changes nothing.
3. The same report again changes nothing.
"""

import hashlib
from dataclasses import dataclass

import structlog
from django.utils import timezone

from events import ids
from smtpprofiles.models import SmtpProfile

from . import bounce_report, feed
from .bounce_report import Bounce, NoBounce, Notice
from .models import Delivery, DeliveryFeedback, FeedbackAddress

log = structlog.get_logger(__name__)

Kind = DeliveryFeedback.Kind
_KINDS = {"failed": Kind.BOUNCED, "delayed": Kind.DEFERRED, "delivered": Kind.DELIVERED}
_MOST_UNKNOWN = 1000  # an hour and profile
_MOST_OF_A_DELIVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a mail that was handed in; `told` says it in a sentence."""

    reports: int = 0  # that were new
    unknown: int = 0  # that name no mail of ours
    told: str


def take(profile: SmtpProfile, raw: bytes) -> Taken:
    """Read a mail, and act on it if it is a bounce of ours."""
    try:
        bounce = bounce_report.read(raw)
    except NoBounce as error:
        log.info("a mail to the bounce address is no bounce", profile=profile.pk, why=str(error))
        return Taken(told=f"Nothing was done. {error}")
    delivery = _delivery(bounce)
    reports, unknown = 0, 0
    for notice in bounce.notices:
        if notice.action not in _KINDS or not notice.recipients:
            continue
        is_ours = delivery is not None and _is_to(delivery, notice)
        unknown += not is_ours
        if is_ours and DeliveryFeedback.objects.filter(delivery=delivery).count() >= _MOST_OF_A_DELIVERY:
            continue
        reports += _keep(profile, bounce, notice, delivery if is_ours else None)
    if unknown:
        log.warning("a bounce names no mail of ours", profile=profile.pk, reporter=bounce.reporter)
    return Taken(reports=reports, unknown=unknown, told=_told(delivery, reports, unknown))


def _keep(profile: SmtpProfile, bounce: Bounce, notice: Notice, delivery: Delivery | None) -> int:
    kind = _KINDS[notice.action]
    # What the refusing server said says more than the number its sender made of it, and often holds it.
    words = notice.said if notice.status in notice.said else f"{notice.status} {notice.said}".strip()
    about = "" if delivery else f" (names {bounce.deliveries[0] if bounce.deliveries else 'no mail of ours'})"
    report = feed.Report(
        kind=kind,
        recipient=delivery.recipient if delivery else notice.recipients[-1],
        detail=f"{words}{about}",
        message_id=f"<{delivery.public_id}@>" if delivery else "",
        event_id=_event_id(kind, notice, delivery),
        said_by=f"A bounce mail of {bounce.reporter}" if bounce.reporter else "A bounce mail",
    )
    return feed.take(_source(profile), [report])


def _source(profile: SmtpProfile) -> feed.Source:
    kinds = FeedbackAddress.Provider
    kind = kinds.AMAZON_SES if profile.kind == kinds.AMAZON_SES else kinds.SMTP
    return feed.Source(profile=profile, provider=kind, is_known=False)


def _event_id(kind: str, notice: Notice, delivery: Delivery | None) -> str:
    said = "|".join((kind, notice.status, *notice.recipients)).lower()
    if delivery:
        return f"bounce:{delivery.public_id}:{hashlib.sha256(said.encode()).hexdigest()}"
    # One of so many places an hour: a flood of forged ones fills those and no more.
    place = int.from_bytes(hashlib.sha256(said.encode()).digest()[:8]) % _MOST_UNKNOWN
    return f"unknown:{timezone.now():%Y%m%d%H}:{place}"


def _delivery(bounce: Bounce) -> Delivery | None:
    for name in bounce.deliveries[:5]:
        uid = ids.parse("dlv", name)
        found = Delivery.objects.filter(uid=uid).first() if uid else None
        if found and found.recipient:
            return found
    return None


def _is_to(delivery: Delivery, notice: Notice) -> bool:
    return delivery.recipient.lower() in {each.lower() for each in notice.recipients}


def _told(delivery: Delivery | None, reports: int, unknown: int) -> str:
    if unknown:
        about = (
            f"It names {delivery.public_id}, but another recipient."
            if delivery
            else "It names no mail of ours."
        )
        return f"{about} It was kept as it is, and changed nothing."
    if delivery is None:
        return "Nothing was done. It says nothing that is acted on: neither failed nor delayed nor delivered."
    return f"Taken in for {delivery.public_id}." if reports else f"Known already for {delivery.public_id}."
