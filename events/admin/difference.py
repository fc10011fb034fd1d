"""Changes as people read them."""

from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events import exact
from events.difference import Difference, differences
from events.models import BillingObject, Change

from .page import clip

MOST_LINES = 200


def value_text(value: Any) -> str:
    """Return a value as it was reported; text without quotes, nothing as a dash."""
    if value is None:
        return "—"
    return value if isinstance(value, str) else exact.dumps(value)


def summary(change: Change) -> SafeString | str:
    """Return what a change is about in one line: what was and what is."""
    found = differences(change.before, change.after)
    if change.operation != "update" or change.folded_at is None:
        return clip(
            ", ".join(
                f"{each.path} {value_text(each.before if each.after is None else each.after)}"
                for each in found[:4]
            )
        )
    return clip(", ".join(_arrow(each) for each in found[:4]), 90)


def table(change: Change) -> SafeString:
    """Return every member that differs, as a table; long texts are cut by the browser, not here."""
    found = differences(change.before, change.after)
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td><del>{}</del></td><td><ins>{}</ins></td></tr>',
        ((each.path, value_text(each.before), value_text(each.after)) for each in found[:MOST_LINES]),
    )
    more = len(found) - MOST_LINES
    note = format_html("<p>{} more members differ.</p>", more) if more > 0 else ""
    return format_html(
        '<table class="differences"><thead><tr><th scope="col">Member</th><th scope="col">Before</th>'
        '<th scope="col">After</th></tr></thead><tbody>{}</tbody></table>{}',
        rows,
        note,
    )


def object_link(row: BillingObject | None, kind: str, external_id: str) -> SafeString:
    """Return kind:id, linked to the object's page where there is one."""
    text = f"{kind}:{external_id}"
    if row is None:
        return format_html("{}", text)
    return format_html(
        '<a href="{}">{}</a>', reverse("admin:events_billingobject_change", args=[row.pk]), text
    )


def _arrow(each: Difference) -> str:
    return f"{each.path}: {value_text(each.before)} → {value_text(each.after)}"
