"""Layouts and partials: what mails share."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from events.admin.page import Page, at
from notifications import vet_mail
from notifications.forms_mail import EmailLayoutForm, EmailPartialForm
from notifications.models import EmailLayout, EmailPartial


@admin.register(EmailLayout)
class EmailLayoutAdmin(Page[EmailLayout]):
    """The frames around mails."""

    form = EmailLayoutForm
    updated = at("updated_at")
    empty_help = "A layout is the frame around mails: a logo, a footer. Templates work without one."
    list_display = ["name", "updated"]
    search_fields = ["name"]
    search_help_text = "Name"
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "html", "text"],
                "description": "Shared by every template that chooses it. It is tried with all of them before it "
                "is saved. Tokens that all of their events offer may be used, and unsubscribe.url.",
            },
        )
    ]


@admin.register(EmailPartial)
class EmailPartialAdmin(Page[EmailPartial]):
    """Pieces that layouts and templates put in."""

    form = EmailPartialForm
    updated = at("updated_at")
    empty_help = 'A partial is a piece that several mails share, put in by {% render "name" %}.'
    list_display = ["name", "updated"]
    search_fields = ["name"]
    search_help_text = "Name"
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "html", "text"],
                "description": 'Put into layouts and templates by {% render "name" %}. It is tried with all of '
                "them before it is saved.",
            },
        )
    ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleted one at a time, where its use can be told."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_delete_permission(self, request: HttpRequest, obj: EmailPartial | None = None) -> bool:
        """Not while a mail needs it."""
        allowed = super().has_delete_permission(request, obj)
        if allowed and obj is not None and request.path.endswith("/delete/"):
            try:
                vet_mail.check_partial(obj, is_deleted=True)
            except ValidationError as error:
                self.message_user(request, " ".join(error.messages), messages.ERROR)
                return False
        return allowed
