"""The catalog again, now with what receivers need of each event type."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.catalog import EventTypeAdmin
from events.models import EventType

# Importing it has registered the page of the app below; this one stands in for it.
admin.site.unregister(EventType)


@admin.register(EventType)
class EventTypeWithCalloutAdmin(EventTypeAdmin):
    """The catalog, with the schema and the sample of callouts to download."""

    def get_fieldsets(self, request: HttpRequest, obj: EventType | None = None) -> Any:
        """With the downloads, once there is a row to describe."""
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is None else [*fieldsets, ("For receivers", {"fields": ["callout"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: EventType | None = None) -> list[str]:
        """The downloads are none to edit."""
        return [*super().get_readonly_fields(request, obj), "callout"]

    @admin.display(description="callout")
    def callout(self, row: EventType) -> SafeString:
        """Links to what a receiver's author needs."""
        return format_html(
            '<a href="{}" download>JSON Schema of a callout</a> · <a href="{}" download>sample callout</a>',
            reverse("callout-schema", args=[row.code]),
            reverse("callout-sample", args=[row.code]),
        )
