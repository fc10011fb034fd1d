"""Taking in what providers report of mails: kept once, shown with the delivery, and acted on.

A report names the delivery by the metadata that we gave the mail, or by our own Message-ID.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from events import ids
from smtpprofiles.models import SmtpProfile

from . import opt_out
from .gone import is_elsewhere, is_gone
from .models import Delivery, DeliveryFeedback, Suppression
from .suppress import suppress

Kind = DeliveryFeedback.Kind
# What a person did: kept only where the administrator says so.
_PRIVATE = frozenset({Kind.OPENED, Kind.CLICKED})
_OUR_MESSAGE = re.compile(r"<?(dlv_[0-9a-z]+)@")
_TEMPORARY = re.compile(r"\b(?:soft|transient|temporary|mailbox (?:is )?full)\b", re.IGNORECASE)
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
    said_by: str = ""  # empty: the provider
    occurred_at: datetime | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who reports."""

    profile: SmtpProfile
    provider: str  # FeedbackAddress.Provider
    keeps_opens: bool = False
    # A provider is believed by its secret; a mail can be written by anybody, and must name one of ours.
    is_known: bool = True


def take(source: Source, reports: list[Report]) -> int:
    """Keep the reports that are new, and act on them, each on its own; return how many there were."""
    return sum(_take_one(source, _storable(report)) for report in reports)


@transaction.atomic
def _take_one(source: Source, report: Report) -> bool:
    if report.kind not in Kind.values or not report.recipient:
        return False
    kind = Kind(report.kind)
    if kind in _PRIVATE and not source.keeps_opens:
        return False
    delivery = find(report)
    row, is_new = DeliveryFeedback.objects.get_or_create(
        profile_id=source.profile.pk,
        event_id=_event_id(report),
        defaults={
            "delivery": delivery,
            "provider": source.provider,
            "kind": kind,
            "is_permanent": kind == Kind.BOUNCED
            and (source.is_known or delivery is not None)
            and _is_permanent(report),
            "recipient": report.recipient[:320],
            "detail": report.detail[:2000],
            "message_id": report.message_id[:255],
            "occurred_at": report.occurred_at or timezone.now(),
        },
    )
    if is_new:
        _follow(row, source, report)
    return is_new


def _storable(report: Report) -> Report:
    """Return it with texts that PostgreSQL can keep: none holds a NUL, or half of a character."""
    texts: dict[str, Any] = {
        each.name: value.replace("\0", "").encode("utf-8", "replace").decode()
        for each in fields(report)
        if isinstance(value := getattr(report, each.name), str)
    }
    return replace(report, **texts)


def _follow(row: DeliveryFeedback, source: Source, report: Report) -> None:
    """Let the delivery say what became of it, and mail a dead or annoyed address no more."""
    kind, delivery = Kind(row.kind), row.delivery
    if kind == Kind.UNSUBSCRIBED and delivery:
        opt_out.leave(opt_out.Wish(delivery.subscription_id, row.recipient.lower()))
    reason = None
    if kind == Kind.COMPLAINED and (source.is_known or delivery):
        reason = Suppression.Reason.COMPLAINED
    elif row.is_permanent and source.profile.suppresses_bounces:
        reason = Suppression.Reason.BOUNCED
    if reason:
        who = report.said_by or row.get_provider_display()
        suppress(row.recipient, reason=reason, detail=row.detail, delivery=delivery, said_by=who)
    if kind in _WORDS and delivery:
        # It was accepted, and has not arrived. Last, since what is taken back locks channels before deliveries.
        Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.DELIVERED).update(
            status=Delivery.Status.DEAD,
            last_error=f"{_WORDS[kind]}: {row.detail or 'no reason was given.'}"[:1000],
        )


def find(report: Report) -> Delivery | None:
    """Return the delivery that a report is about; a report that names another recipient is about none."""
    named = str(report.metadata.get("delivery") or "")
    found = _OUR_MESSAGE.match(report.message_id)
    uid = ids.parse("dlv", named or (found[1] if found else ""))
    delivery = Delivery.objects.filter(uid=uid).first() if uid else None
    return delivery if delivery and delivery.recipient.lower() == report.recipient.lower() else None


def _is_permanent(report: Report) -> bool:
    if _TEMPORARY.search(report.detail) or is_elsewhere(report.detail):
        return False
    return report.cause in ("invalid", "bounced") or is_gone(report.detail)


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
