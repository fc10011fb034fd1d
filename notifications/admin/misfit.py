"""Rows that need attention, where they are listed and on their own pages."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin.page import RecordPage, at, clip
from notifications.models import EmailTemplate, Misfit, Subscription

FITS = "Fits the tokens of its event types."


@admin.register(Misfit)
class MisfitAdmin(RecordPage[Misfit]):
    """What a change of tokens left behind."""

    empty_help = "Nothing: every subscription and email template fits the tokens of its event types."
    list_display = ["found", "row_link", "what"]
    list_display_links = ["found"]
    fields = ["row_link", "found", "told_lines"]
    sortable_by = ()
    found = at("found_at", "found")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Misfit]:
        """With the names of the rows."""
        related = super().get_queryset(request).select_related("subscription", "email_template")
        return related.only("told", "found_at", "subscription__name", "email_template__name")

    @admin.display(description="row")
    def row_link(self, misfit: Misfit) -> SafeString:
        """The row, linked."""
        of = misfit.row
        assert of is not None
        url = reverse(f"admin:{of._meta.app_label}_{of._meta.model_name}_change", args=[of.pk])
        return format_html('{} <a href="{}">{}</a>', str(of._meta.verbose_name).capitalize(), url, of)

    @admin.display(description="what is wrong")
    def what(self, misfit: Misfit) -> SafeString | str:
        """In one line."""
        return clip(misfit.told, 120)

    @admin.display(description="what is wrong")
    def told_lines(self, misfit: Misfit) -> SafeString:
        """All of it."""
        return lines(misfit.told)


class AttentionFilter(admin.SimpleListFilter):
    """Rows that need attention, which are few."""

    title = "fit"
    parameter_name = "fit"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Those that do not fit."""
        return [("no", "Needs attention")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the choice."""
        return queryset.filter(misfit__isnull=False) if self.value() == "no" else queryset


class Attention:
    """A field of a page that tells whether the row needs attention."""

    @admin.display(description="fit")
    def fit(self, row: Subscription | EmailTemplate) -> SafeString | str:
        """What is wrong with it, if anything."""
        misfit = getattr(row, "misfit", None) if row.pk else None
        return format_html("<strong>Needs attention.</strong> {}", lines(misfit.told)) if misfit else FITS


def lines(text: str) -> SafeString:
    """Return a text as a list of its lines."""
    return format_html(
        "<ul>{}</ul>", format_html_join("", "<li>{}</li>", ((each,) for each in text.splitlines()))
    )
