"""What the page of a trigger tells of it: its sentence, its state, what became of it, and its payload."""

from datetime import date, timedelta

from django.contrib import admin
from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.models import LedgerEntry, Trigger
from events.triggers.preview import preview
from events.triggers.rules import of
from events.triggers.summary import sentence
from events.triggers.values import shown

Source = Trigger.Source


class Story:
    """Fields of the page that only tell."""

    @admin.display(description="rule")
    def summary(self, row: Trigger) -> SafeString:
        """What it does, in a sentence."""
        return format_html('<p class="why">{}</p>', sentence(of(row)))

    @admin.display(description="state")
    def state(self, row: Trigger) -> str:
        """Whether it is active, and whose it is."""
        told = "Active." if row.is_active else "Off: it looks at nothing."
        if row.is_active and row.prepared_at is None and row.source in {Source.DATE, Source.COMMITMENT}:
            told += " What was reported before is still being entered into the calendar."
        if row.builtin:
            told += " Built in, and edited here." if row.is_edited else " Built in; an edit makes it yours."
        return told

    @admin.display(description="last 30 days")
    def lately(self, row: Trigger) -> SafeString:
        """How often it came to which outcome, with the ledger and the calendar."""
        counts = (
            row.days.filter(day__gte=a_month_ago())
            .values_list("outcome")
            .annotate(Sum("count"))
            .order_by("outcome")
        )
        labels = dict(LedgerEntry.Outcome.choices)
        told = (
            ", ".join(f"{labels[outcome].lower()} {number:,}" for outcome, number in counts) or "Nothing yet"
        )
        ledger = f"{reverse('admin:events_ledgerentry_changelist')}?trigger__id__exact={row.pk}"
        calendar = f"{reverse('admin:events_scheduledfiring_changelist')}?trigger__id__exact={row.pk}"
        links = [(ledger, "Ledger: why it did, or did not, fire")]
        if row.source in Trigger.OF_CALENDAR:
            links.append((calendar, "Calendar: what will fire"))
        return format_html("{}. {}", told, format_html_join(" · ", '<a href="{}">{}</a>', links))

    @admin.display(description="payload")
    def payload_table(self, row: Trigger) -> SafeString:
        """Each field of the payload, what fills it, and its value now."""
        found = preview(of(row))
        lines = format_html_join(
            "",
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            (
                (path_, origin, "—" if value is None else shown(value))
                for path_, origin, value in found.origins
            ),
        )
        return format_html(
            '<p>Made of {}.</p><table class="tokens"><thead><tr><th scope="col">Payload field</th>'
            '<th scope="col">Filled with</th><th scope="col">Example</th></tr></thead><tbody>{}</tbody></table>',
            found.made_of,
            lines,
        )


def a_month_ago() -> date:
    """Return the first day that counts as lately."""
    return timezone.now().date() - timedelta(days=30)
