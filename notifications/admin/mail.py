"""Email templates."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin.page import Page
from notifications.forms import EmailTemplateForm
from notifications.liquid_filters import OURS
from notifications.models import EmailTemplate
from notifications.tokens import legal_tokens

LIQUID_HELP = format_html(
    "A token is written {}, with a filter {}. Conditions: {}. Of filters there are those of Liquid and {}.",
    "{{ invoice.number }}",
    "{{ invoice.total | money: invoice.currency }} or {{ invoice.due_date | date: '%d %B %Y' }}",
    "{% if invoice.balance > 0 %} … {% endif %}",
    ", ".join(name for name in ("money", "number", "date", "json") if name in OURS),
)


@admin.register(EmailTemplate)
class EmailTemplateAdmin(Page[EmailTemplate]):
    """Predefined emails."""

    form = EmailTemplateForm
    list_display = ["name", "subject", "event_type_count", "has_html", "updated_at"]
    # Said here, because grouping for the count forgets the model's own order.
    ordering = ["name"]
    search_fields = ["name", "subject"]
    search_help_text = "Name or subject"
    autocomplete_fields = ["event_types"]
    readonly_fields = ["tokens", "updated_at"]
    fieldsets = [
        (None, {"fields": ["name", "event_types"]}),
        ("Content", {"fields": ["subject", "text", "html"], "description": LIQUID_HELP}),
        ("Tokens", {"fields": ["tokens"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailTemplate]:
        """With the number of event types."""
        return super().get_queryset(request).annotate(_event_types=Count("event_types"))

    @admin.display(description="event types", ordering="_event_types")
    def event_type_count(self, row: EmailTemplate) -> int:
        """How many event types it is for."""
        return int(getattr(row, "_event_types", 0))

    @admin.display(description="HTML", boolean=True)
    def has_html(self, row: EmailTemplate) -> bool:
        """Whether it has an HTML part."""
        return bool(row.html)

    @admin.display(description="may be used")
    def tokens(self, row: EmailTemplate) -> SafeString | str:
        """Every token that all of the chosen event types offer."""
        if row.pk is None:
            return "Choose the event types and save: the tokens that all of them offer are then listed here."
        legal = legal_tokens(row.event_types.all(), medium="email")
        if not legal:
            return "The chosen event types have no token in common."
        lines = format_html_join(
            "",
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            (("{{ " + token.name + " }}", token.description, token.sample[:60]) for token in legal.values()),
        )
        return format_html('<table class="tokens"><tbody>{}</tbody></table>', lines)
