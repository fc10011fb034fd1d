"""Taking in what providers report of mails: kept once, shown with the delivery, and acted on.

A report names the delivery by the metadata that we gave the mail, or by our own Message-ID.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from events import ids

from . import opt_out
from .models import Delivery, DeliveryFeedback, FeedbackAddress, Suppression
from .suppress import suppress

Kind = DeliveryFeedback.Kind
# What a person did: kept only where the administrator says so.
_PRIVATE = frozenset({Kind.OPENED, Kind.CLICKED})
_OUR_MESSAGE = re.compile(r"<?(dlv_[0-9a-z]+)@")
# How a report is known to be for good, where the provider gives its cause no name: RFC 3463.
_PERMANENT = re.compile(r"\b5\.[01]\.\d+\b|\b5\d\d[ -]5\.1\.")
_TEMPORARY = re.compile(
    r"\b4\.\d+\.\d+\b|\b(?:soft|transient|temporary|mailbox (?:is )?full)\b", re.IGNORECASE
)
_WORDS = {
    Kind.BOUNCED: "Bounced",
    Kind.REJECTED: "Refused by the provider",
    Kind.FAILED: "Not sent by the provider",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a provider says about one mail, in our words."""

    kind: str
    recipient: str
    detail: str = ""
    cause: str = ""  # invalid, bounced, timed_out, blocked, spam, unsubscribed, other
    message_id: str = ""
    event_id: str = ""
    occurred_at: datetime | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@transaction.atomic
def take(source: FeedbackAddress, reports: list[Report]) -> int:
    """Keep the reports that are new, and act on them; return how many there were."""
    return sum(_take_one(source, report) for report in reports)


def _take_one(source: FeedbackAddress, report: Report) -> bool:
    if report.kind not in Kind.values or not report.recipient:
        return False
    kind = Kind(report.kind)
    if kind in _PRIVATE and not source.keeps_opens:
        return False
    delivery = _delivery(report)
    row, is_new = DeliveryFeedback.objects.get_or_create(
        profile_id=source.profile_id,
        event_id=_event_id(report),
        defaults={
            "delivery": delivery,
            "provider": source.provider,
            "kind": kind,
            "is_permanent": kind == Kind.BOUNCED and _is_permanent(report),
            "recipient": report.recipient[:320],
            "detail": report.detail.replace("\0", "")[:2000],
            "message_id": report.message_id[:255],
            "occurred_at": report.occurred_at or timezone.now(),
        },
    )
    if is_new:
        _follow(row)
    return is_new


def _follow(row: DeliveryFeedback) -> None:
    """Let the delivery say what became of it, and mail a dead or annoyed address no more."""
    kind, delivery = Kind(row.kind), row.delivery
    if kind in _WORDS and delivery:
        # It was accepted, and has not arrived.
        Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.DELIVERED).update(
            status=Delivery.Status.DEAD,
            last_error=f"{_WORDS[kind]}: {row.detail or 'no reason was given.'}"[:1000],
        )
    if kind == Kind.UNSUBSCRIBED and delivery:
        opt_out.leave(opt_out.Wish(delivery.subscription_id, row.recipient.lower()))
    if kind == Kind.COMPLAINED:
        suppress(row.recipient, reason=Suppression.Reason.COMPLAINED, detail=row.detail, delivery=delivery)
    elif row.is_permanent:
        suppress(row.recipient, reason=Suppression.Reason.BOUNCED, detail=row.detail, delivery=delivery)


def _delivery(report: Report) -> Delivery | None:
    """Return the delivery that a report is about; a report that names another recipient is about none."""
    named = str(report.metadata.get("delivery") or "")
    found = _OUR_MESSAGE.match(report.message_id)
    uid = ids.parse("dlv", named or (found[1] if found else ""))
    delivery = Delivery.objects.filter(uid=uid).first() if uid else None
    return delivery if delivery and delivery.recipient.lower() == report.recipient.lower() else None


def _is_permanent(report: Report) -> bool:
    if _TEMPORARY.search(report.detail):
        return False
    return report.cause in ("invalid", "bounced") or bool(_PERMANENT.search(report.detail))


def _event_id(report: Report) -> str:
    if report.event_id and len(report.event_id) <= 255:
        return report.event_id
    said = (
        report.kind,
        report.recipient,
        report.message_id,
        report.occurred_at,
        report.event_id,
        report.detail,
    )
    return "sha256:" + hashlib.sha256(repr(said).encode()).hexdigest()
