"""The audit log, and taking in what operators do in the apps below."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.dispatch import receiver
from django.http import HttpRequest

from events.admin.audit import operator_acted
from events.admin.page import RecordPage, at
from notifications.audit import Actor, record
from notifications.models import AuditEntry


@receiver(operator_acted)
def keep(actor: Actor, action: str, subjects: Iterable[str], reason: str, **_: Any) -> None:
    """Write down what was done in the apps below."""
    record(actor, action, subjects, reason)


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordPage[AuditEntry]):
    """Who did what, when and why."""

    empty_help = (
        "Nothing yet. What people do with buttons and actions, and secrets they make or see, is "
        "written down here."
    )
    list_display = ["created", "actor_name", "action", "subject", "reason"]
    search_fields = ["subject__exact"]
    search_help_text = "Exactly: what it was done to, such as dlv_…"
    ordering = ["-id"]
    sortable_by = ()
    created = at("created_at", "at")
    fields = ["created", "actor", "actor_name", "action", "subject", "reason"]

    def get_search_results(self, _request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By subject, which is indexed."""
        term = search_term.strip()
        return (queryset.filter(subject=term) if term else queryset), False
