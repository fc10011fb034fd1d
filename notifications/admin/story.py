"""What the page of a delivery tells of it: where it stands, and what was sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_string, policy

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from notifications import collected, pauses, why
from notifications.advice import advise, url_of
from notifications.curl import command
from notifications.models import Attempt, Delivery, RenderedBody

MOST_SHOWN = 300_000  # characters of what was sent


def body_of(row: Delivery) -> RenderedBody | None:
    """Return what was rendered; the time it was made names its partition."""
    return RenderedBody.objects.filter(delivery=row, delivery_created_at=row.created_at).first()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An attempt, where its time went, and what it means."""

    attempt: Attempt
    phases: Sequence[tuple[str, str]]
    remedy: str


def attempts_of(row: Delivery) -> list[Told]:
    """Return the attempts, oldest first."""
    is_email = bool(row.recipient)
    return [
        Told(
            attempt=attempt,
            phases=() if is_email else phases(attempt),
            remedy="" if is_email else advise(attempt).remedy,
        )
        for attempt in row.attempts.order_by("started_at", "number")
    ]


def phases(attempt: Attempt) -> list[tuple[str, str]]:
    """Return where the time of a callout went, each part with its milliseconds."""
    kept, lost = "reused connection", "—"
    opening = [
        (label, f"{value} ms" if value is not None else kept if attempt.is_reused else lost)
        for label, value in (
            ("DNS", attempt.dns_ms),
            ("Connect", attempt.connect_ms),
            ("TLS", attempt.tls_ms),
        )
    ]
    first = f"{attempt.first_byte_ms} ms" if attempt.first_byte_ms is not None else lost
    return [*opening, ("First byte", first), ("Total", f"{attempt.duration_ms} ms")]


def curl(attempts: Sequence[Told], body: RenderedBody | None) -> str:
    """Return the last attempt that sent a request as a curl command; empty if none did."""
    sent = [told.attempt for told in attempts if url_of(told.attempt.request_headers)]
    return command(sent[-1].request_headers, body.body) if sent and body else ""


def sentence(row: Delivery) -> SafeString:
    """Return where it stands, with links to what it waits for."""
    channel, subscription = row.channel, row.subscription
    destination = (channel.endpoint or channel.profile) if channel else None
    pauses.annotate(filter(None, [destination, subscription, subscription.queue]))
    text, pieces = why.explain(row, timezone.now()), []
    for phrase, url in _places(row):
        before, found, after = text.partition(phrase)
        if found:
            pieces.append(format_html('{}<a href="{}">{}</a>', before, url, found))
            text = after
    return format_html_join("", "{}", [*((piece,) for piece in pieces), (text,)])


def _places(row: Delivery) -> Iterator[tuple[str, str]]:
    """Give what the sentence may name, in its order, with the page of each."""
    if head := why.head_of(row):
        yield head.public_id, reverse("admin:notifications_delivery_change", args=[head.pk])
    digest = collected.digest_of(row)
    if digest and digest.delivery:
        url = reverse("admin:notifications_delivery_change", args=[digest.delivery_id])
        yield digest.delivery.public_id, url
    channel = row.channel
    if channel and channel.endpoint:
        url = reverse("admin:notifications_endpoint_change", args=[channel.endpoint_id])
        yield f"endpoint {channel.endpoint}", url
    elif channel and channel.profile:
        url = reverse("admin:smtpprofiles_smtpprofile_change", args=[channel.profile_id])
        yield f"SMTP profile {channel.profile}", url
    queue, subscription = row.subscription.queue, row.subscription
    yield f"queue {queue}", reverse("admin:events_queue_change", args=[queue.pk])
    url = reverse("admin:notifications_subscription_change", args=[subscription.pk])
    yield f"subscription {subscription}", url


def shown(body: RenderedBody | None) -> dict[str, object]:
    """Return as much of a text as a page holds: a digest's may have megabytes."""
    text = body.body if body else ""
    return {"shown": text[:MOST_SHOWN], "is_cut": len(text) > MOST_SHOWN}


def subject(raw: str) -> str:
    """Return the subject of a raw message, decoded; empty if it has none."""
    return str(message_from_string(raw, policy=policy.default).get("Subject", ""))
