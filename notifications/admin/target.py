"""Where a delivery goes, as its pages name it."""

from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from notifications.models import Delivery, Endpoint, RenderedBody

# Columns that no list needs, and that break it where no key opens them.
SECRETS = tuple(f"channel__endpoint__{name}" for name in Endpoint.BULKY)


def endpoint_of(row: Delivery) -> Endpoint | None:
    """Return the endpoint of a webhook; None for an email, and for what could go nowhere."""
    return row.channel.endpoint if row.channel else None


def name(row: Delivery) -> str:
    """Return the address of an email, the name of an endpoint; "webhook" where there is neither."""
    return row.recipient or str(endpoint_of(row) or "webhook")


def link(row: Delivery) -> SafeString | str:
    """Return the name, as a link to the endpoint where there is one."""
    endpoint = endpoint_of(row)
    if row.recipient or endpoint is None:
        return name(row)
    url = reverse("admin:notifications_endpoint_change", args=[endpoint.pk])
    return format_html('<a href="{}">{}</a>', url, endpoint)


def address(endpoint: Endpoint) -> str:
    """Return the URL of an endpoint; also one that settings have come to forbid since it was saved."""
    try:
        return endpoint.url
    except ValidationError as error:
        return f"{endpoint.base_url}{endpoint.path} (not called: {' '.join(error.messages)})"


def request_line(row: Delivery, body: RenderedBody | None) -> str:
    """Return the first line of a webhook's request, with its query once it is rendered; empty for email."""
    endpoint = endpoint_of(row)
    if row.recipient or endpoint is None:
        return ""
    url = address(endpoint)
    if body is None or not body.query:
        return f"POST {url}"
    separator = "&" if "?" in url else "?"
    return f"POST {url}{separator}{urlencode([(pair[0], pair[1]) for pair in body.query])}"
