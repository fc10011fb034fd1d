"""Email templates."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin.page import Page
from events.admin.typed import StackedInline
from notifications.forms_mail import EmailTemplateForm, EmailVariantForm, EmailVariantFormSet
from notifications.liquid_filters import OURS
from notifications.models import EmailTemplate, EmailVariant
from notifications.tokens import legal_tokens
from notifications.vet_source import OF_MAILS

from . import preview
from .misfit import Attention, AttentionFilter

LIQUID_HELP = format_html(
    "A token is written {}, with a filter {}. Conditions: {}. Of filters there are those of Liquid and {}; "
    "amounts, numbers and dates are written as the reader's country does. A partial is put in by {}.",
    "{{ invoice.number }}",
    "{{ invoice.total | money: invoice.currency }} or {{ invoice.due_date | date: 'long' }}",
    "{% if invoice.balance > 0 %} … {% endif %}",
    ", ".join(name for name in ("money", "number", "date", "json") if name in OURS),
    '{% render "name" %}',
)
_OPT_OUT_HELP = "Where the reader unsubscribes. Empty where the subscription lets nobody opt out."


class VariantInline(StackedInline[EmailVariant, EmailTemplate]):
    """The same mail in other languages."""

    model = EmailVariant
    form = EmailVariantForm
    formset = EmailVariantFormSet
    extra = 0
    verbose_name = "other language"


@admin.register(EmailTemplate)
class EmailTemplateAdmin(Attention, Page[EmailTemplate]):
    """Predefined emails."""

    form = EmailTemplateForm
    empty_help = (
        'Press "Install the product\'s mails" to begin with one for each event type, or add your own.'
    )
    list_filter = [AttentionFilter]
    list_display = ["name", "subject", "event_type_count", "layout", "languages", "has_html", "updated_at"]
    list_select_related = ["layout"]
    change_list_template = "admin/notifications/emailtemplate/change_list.html"
    # Said here, because grouping for the count forgets the model's own order.
    ordering = ["name"]
    search_fields = ["name", "subject"]
    search_help_text = "Name or subject"
    autocomplete_fields = ["event_types", "layout"]
    readonly_fields = ["preview", "tokens", "updated_at", "fit"]
    inlines = [VariantInline]
    fieldsets = [
        (None, {"fields": ["name", "event_types", "layout", "fit", "preview"]}),
        (
            "Content",
            {"fields": ["locale", "subject", "preheader", "text", "html"], "description": LIQUID_HELP},
        ),
        ("Tokens", {"fields": ["tokens"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmailTemplate]:
        """With the numbers of event types and of languages."""
        counts = {name: Count(name, distinct=True) for name in ("event_types", "variants")}
        return (
            super()
            .get_queryset(request)
            .annotate(_event_types=counts["event_types"], _variants=counts["variants"])
        )

    def get_urls(self) -> list[URLPattern]:
        """Beside the usual ones: the preview, its frame, the test, and the mails that come with the product."""
        return [*preview.urls(self.admin_site), *super().get_urls()]

    @admin.display(description="event types", ordering="_event_types")
    def event_type_count(self, row: EmailTemplate) -> int:
        """How many event types it is for."""
        return int(getattr(row, "_event_types", 0))

    @admin.display(description="languages", ordering="_variants")
    def languages(self, row: EmailTemplate) -> int:
        """In how many languages it is written."""
        return 1 + int(getattr(row, "_variants", 0))

    @admin.display(description="preview and test")
    def preview(self, row: EmailTemplate) -> SafeString | str:
        """A link to how it looks."""
        if row.pk is None:
            return "Save it first."
        url = reverse("admin:notifications_emailtemplate_preview", args=[row.pk])
        return format_html(
            '<a href="{}">See the saved mail with real values, and send it to yourself</a>', url
        )

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
            [
                *(("{{ " + each.name + " }}", each.description, each.sample[:60]) for each in legal.values()),
                *(("{{ " + name + " }}", _OPT_OUT_HELP, sample) for name, sample in OF_MAILS.items()),
            ],
        )
        return format_html('<table class="tokens"><tbody>{}</tbody></table>', lines)
