"""Kinds of billing objects: the built-in ones, and those that administrators add."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from events.models import BillingObject, ObjectKind

from .page import Page


@admin.register(ObjectKind)
class ObjectKindAdmin(Page[ObjectKind]):
    """What reports may be about, and where each kind says what."""

    list_display = ["code", "label", "parent", "parent_at", "name_path", "status_path", "is_builtin"]
    list_select_related = ["parent"]
    list_filter = ["is_builtin"]
    search_fields = ["code", "label"]
    search_help_text = "Code or label"
    ordering = ["code"]
    autocomplete_fields = ["parent"]
    fieldsets = [
        (None, {"fields": ["code", "label", "description"]}),
        (
            "What it belongs to",
            {
                "fields": ["parent", "parent_path"],
                "description": "Tokens and conditions reach from an object to its parents: from a service to its "
                "package and its account. Changing this acts on the reports that come after it.",
            },
        ),
        ("What this console shows of it", {"fields": ["name_path", "status_path"]}),
    ]

    @admin.display(description="parent's id at")
    def parent_at(self, row: ObjectKind) -> str:
        """Where a report holds the parent's id."""
        return row.parent_path or (f"{row.parent.code}.id" if row.parent else "—")

    def get_readonly_fields(self, request: HttpRequest, obj: ObjectKind | None = None) -> Any:
        """The code stands in reports and in triggers, and stays."""
        return ["code"] if obj else super().get_readonly_fields(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: ObjectKind | None = None) -> bool:
        """Nobody deletes a built-in kind, nor one that objects are of."""
        if obj is not None and (obj.is_builtin or BillingObject.objects.filter(kind=obj.code).exists()):
            return False
        return super().has_delete_permission(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ObjectKind]) -> None:
        """Delete those of the chosen ones that may be."""
        used = BillingObject.objects.filter(kind__in=queryset.values("code")).values("kind")
        super().delete_queryset(request, queryset.filter(is_builtin=False).exclude(code__in=used))
