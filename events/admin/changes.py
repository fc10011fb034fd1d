"""The changes of billing objects: what was and what is, and whether triggers have looked at it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.models import BillingObject, Change, ObjectKind

from .difference import object_link, summary, table
from .find_object import of_object
from .page import RecordPage, at, utc

MOST_KINDS = 100


class KindFilter(admin.SimpleListFilter):
    """By kind of object, which is indexed with the time."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The kinds."""
        return list(ObjectKind.objects.order_by("label").values_list("code", "label")[:MOST_KINDS])

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the chosen one."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


class WaitingFilter(admin.SimpleListFilter):
    """By how far triggers have come, which has an index of its own."""

    title = "triggers"
    parameter_name = "triggers"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Waiting or not."""
        return [("waiting", "Not looked at yet")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Change]) -> QuerySet[Change]:
        """What waits for them."""
        return queryset.filter(evaluated_at=None) if self.value() == "waiting" else queryset


@admin.register(Change)
class ChangeAdmin(RecordPage[Change]):
    """The history of all objects, newest first."""

    empty_help = (
        "Nothing was reported yet. Each report of an object that brings a difference leaves one row here."
    )
    list_display = ["created", "object_text", "operation", "what", "source", "triggers"]
    list_display_links = ["created"]
    list_filter = [KindFilter, WaitingFilter]
    # Looked up exactly by get_search_results; naming one shows the search box.
    search_fields = ["external_id"]
    search_help_text = "Exactly: kind:id, such as account:1001"
    fields = ["object_link", "operation", "source", "version", "occurred", "created", "triggers", "differing"]
    ordering = ["-id"]
    sortable_by = ()
    occurred, created = at("occurred_at"), at("reported_at", "reported")

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Change], search_term: str
    ) -> tuple[QuerySet[Change], bool]:
        """By kind and id, which are indexed together; by a kind alone."""
        return of_object(queryset, search_term), False

    @admin.display(description="object")
    def object_text(self, row: Change) -> str:
        """The object, as kind:id."""
        return f"{row.kind}:{row.external_id}"

    @admin.display(description="object")
    def object_link(self, row: Change) -> SafeString:
        """The object, linked."""
        known = BillingObject.objects.filter(kind=row.kind, external_id=row.external_id).first()
        return object_link(known, row.kind, row.external_id)

    @admin.display(description="what")
    def what(self, row: Change) -> SafeString | str:
        """What differs, in one line."""
        return summary(row)

    @admin.display(description="differences")
    def differing(self, row: Change) -> SafeString:
        """What differs, member by member."""
        if row.folded_at is None:
            return format_html(
                "<p>Not compared with the object yet; this is what was saved.</p>{}", table(row)
            )
        return table(row)

    @admin.display(description="triggers")
    def triggers(self, row: Change) -> str:
        """Whether triggers have looked at it, and if not, why."""
        return standing(row)


def standing(row: Change) -> str:
    """Return how far triggers have come with a change, and why."""
    if row.error:
        return f"Not looked at: the change could not be taken over. {row.error}"
    if row.evaluated_at is not None:
        return f"Looked at {utc(row.evaluated_at)}"
    if row.folded_at is None:
        return "Waits to be compared with its object, which the support cluster does"
    return "Waits for the support cluster to look at it"
