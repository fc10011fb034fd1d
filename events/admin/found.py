"""The billing objects of an event as it found them: what tokens and parameters of its deliveries say."""

from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events import exact
from events.as_published import AsPublished, as_published, named
from events.models import Event


def found_by(event: Event) -> SafeString | str:
    """Return a table of the objects that the payload names and what they belong to, nearest first."""
    try:
        data = exact.loads(event.data)
    except ValueError:
        data = {}
    objects = as_published(event.uid, named(data, first=event.type.resource))
    if not objects:
        return "None: the payload names no billing object by its id."
    rows = format_html_join(
        "",
        '<tr><td>{}</td><td><pre class="exact">{}</pre></td><td>{}</td><td>{}</td></tr>',
        ((f"{each.kind}:{each.external_id}", _state(each), _version(each), _since(each)) for each in objects),
    )
    return format_html(
        '<table class="tokens"><thead><tr><th scope="col">Object</th><th scope="col">State</th>'
        '<th scope="col">Version</th><th scope="col">Since then</th></tr></thead><tbody>{}</tbody></table>',
        rows,
    )


def _state(one: AsPublished) -> str:
    if one.is_forgotten:
        return f"No longer known: changes are kept for {settings.RETENTION_DAYS} days."
    if one.state is None:
        return "Not reported by then."
    return exact.dumps(one.state) if one.state else "Only named by then, not reported."


def _version(one: AsPublished) -> SafeString | str:
    told = "—" if one.version is None else str(one.version)
    if one.change_id is None:
        return told
    url = reverse("admin:events_change_change", args=[one.change_id])
    return format_html('{} (<a href="{}">change {}</a>)', told, url, one.change_id)


def _since(one: AsPublished) -> str:
    return "changed since; that does not count" if one.has_changed else "as it is now"
