"""What the page of a delivery tells of it: where it stands, and what was sent."""

from email import message_from_string, policy

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from notifications import why
from notifications.models import Delivery, RenderedBody


def body_of(row: Delivery) -> RenderedBody | None:
    """Return what was rendered; the time it was made names its partition."""
    return RenderedBody.objects.filter(delivery=row, delivery_created_at=row.created_at).first()


def sentence(row: Delivery) -> SafeString:
    """Return where it stands, with a link to the head of its lane where it waits for that."""
    text, head = why.explain(row, timezone.now()), why.head_of(row)
    before, found, after = text.partition(head.public_id) if head else (text, "", "")
    if head is None or not found:
        return format_html("{}", text)
    url = reverse("admin:notifications_delivery_change", args=[head.pk])
    return format_html('{}<a href="{}">{}</a>{}', before, url, found, after)


def subject(raw: str) -> str:
    """Return the subject of a raw message, decoded; empty if it has none."""
    return str(message_from_string(raw, policy=policy.default).get("Subject", ""))
