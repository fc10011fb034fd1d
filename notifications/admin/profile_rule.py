"""The rules that pick an SMTP profile."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.page import Page
from events.admin.typed import ModelForm
from events.models import EventType
from notifications.models import ProfileRule
from smtpprofiles.models import SmtpProfile


class ProfileRuleForm(ModelForm[ProfileRule]):
    """A rule, with the resources and categories that there are."""

    class Meta:
        model = ProfileRule
        fields = ["event_type", "resource", "category", "profile"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("resource", "category"):
            field = self.fields[name]
            own = getattr(self.instance, name)
            known = sorted({own, *EventType.objects.values_list(name, flat=True)} - {""})
            self.fields[name] = forms.ChoiceField(
                choices=[("", "—"), *((value, value) for value in known)],
                required=False,
                label=field.label,
                help_text=field.help_text,
            )


@admin.register(ProfileRule)
class ProfileRuleAdmin(Page[ProfileRule]):
    """Which mails leave by which profile, unless their subscription names its own."""

    form = ProfileRuleForm
    list_display = ["mails_about", "profile"]
    list_display_links = ["mails_about"]
    list_filter = ["profile"]
    list_select_related = ["event_type", "profile"]
    search_fields = ["event_type__code", "resource", "category", "profile__name"]
    search_help_text = "Event type, resource, category or profile"
    autocomplete_fields = ["event_type", "profile"]
    fieldsets = [
        (
            "Mails about",
            {
                "fields": ["event_type", "resource", "category"],
                "description": "Exactly one of the three. The next mail follows a change; one that is rendered "
                "already leaves as it is.",
            },
        ),
        ("leave by", {"fields": ["profile"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProfileRule]:
        """Without the secrets: nothing here reads them."""
        found = super().get_queryset(request).select_related("event_type", "profile")
        return found.defer(*SmtpProfile.secrets("profile__"))

    @admin.display(description="mails about", ordering="event_type")
    def mails_about(self, row: ProfileRule) -> str:
        """What it speaks of."""
        if row.event_type:
            return row.event_type.code
        return f"resource {row.resource}" if row.resource else f"category {row.category}"
