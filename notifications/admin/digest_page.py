"""What pages show of digests: what one carries, and what a subscription collects now."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin.page import count
from notifications.diagnose import utc
from notifications.models import Delivery, Digest, Subscription

SHOWN = 20
MOST_RECIPIENTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A digest, the first of what it carries, and where all of it is."""

    digest: Digest
    size: int
    first: Sequence[Delivery]
    url: str


def digest_carried_by(row: Delivery) -> Carried | None:
    """Return what this delivery carries, if it is a digest."""
    digest = Digest.objects.filter(delivery=row).first()
    if digest is None:
        return None
    members = Delivery.objects.filter(collected__digest=digest).select_related("event__type")
    first = members.defer("event__data", "event__type__sample", "event__type__schema").order_by("pk")[:SHOWN]
    url = f"{reverse('admin:notifications_delivery_changelist')}?digest={row.public_id}"
    return Carried(digest=digest, size=digest.size, first=list(first), url=url)


def collected_by(row: Subscription) -> SafeString | str:
    """Return when the next digests of a subscription are due and how much is in them."""
    if row.pk is None:
        return "Nothing."
    held = Q(members__delivery__hold_cause=Delivery.HoldCause.COLLECTED)
    open_ = Digest.objects.filter(subscription=row, delivery=None, event__isnull=False).order_by("due_at")
    digests = list(open_.annotate(collected=Count("members", filter=held))[: MOST_RECIPIENTS + 1])
    if not digests:
        return "Nothing."
    url = reverse("admin:notifications_delivery_changelist")
    lines = format_html_join(
        "",
        '<div><a href="{}?subscription__id__exact={}&amp;status=collected">{}</a> for the digest due at {}{}</div>',
        (
            (
                url,
                row.pk,
                count(digest.collected, "delivery", "deliveries"),
                utc(digest.due_at),
                f" to {digest.recipient}" if digest.recipient else "",
            )
            for digest in digests[:MOST_RECIPIENTS]
        ),
    )
    more = format_html("<div>and others</div>") if len(digests) > MOST_RECIPIENTS else ""
    return format_html("{}{}", lines, more)
