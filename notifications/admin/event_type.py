"""The catalog again, now with what receivers need of each event type, and with the rows that use its tokens."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.catalog import EventTypeAdmin, TokenInline
from events.admin.page import count
from events.models import EventType
from notifications import misfits
from notifications.misfit_forms import CheckedEventTypeForm, TokenFormSet
from notifications.models import Misfit

from .misfit import lines

# Importing it has registered the page of the app below; this one stands in for it.
admin.site.unregister(EventType)


MOST_MISFITS = 50


class CheckedTokenInline(TokenInline):
    """Tokens that saved rows may use."""

    formset = TokenFormSet


@admin.register(EventType)
class EventTypeWithCalloutAdmin(EventTypeAdmin):
    """The catalog, with the schema and the sample of callouts to download."""

    form = CheckedEventTypeForm
    inlines = [CheckedTokenInline]

    def get_fieldsets(self, request: HttpRequest, obj: EventType | None = None) -> Any:
        """With the downloads, once there is a row to describe."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        asked = ["saves_anyway"] if request.method == "POST" and not self._is_to_read(request, obj) else []
        return [
            *fieldsets,
            ("For receivers", {"fields": ["callout"]}),
            ("Subscriptions and templates", {"fields": ["misfits", *asked]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: EventType | None = None) -> list[str]:
        """The downloads are none to edit."""
        return [*super().get_readonly_fields(request, obj), "callout", "misfits"]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the tokens, and check again what uses them."""
        super().save_related(request, form, formsets, change)
        if number := misfits.recheck([form.instance]):
            which = f"{count(number, 'row')} {'needs' if number == 1 else 'need'} attention"
            self.message_user(request, f"{which}: see the end of the event type's page.", messages.WARNING)

    @admin.display(description="need attention")
    def misfits(self, row: EventType) -> SafeString | str:
        """The rows that do not fit what it offers."""
        found: QuerySet[Misfit] = Misfit.objects.filter(
            Q(subscription__event_types=row)
            | Q(subscription__event_types=None, subscription__queue__routes__event_type=row)
            | Q(email_template__event_types=row)
        )
        rows = found.select_related("subscription", "email_template").distinct()[:MOST_MISFITS]
        told = [f"{misfits.kind(of)} “{of}”: {each.told}" for each in rows if (of := each.row)]
        return lines("\n".join(told)) if told else "None: all that use its tokens fit."

    @admin.display(description="callout")
    def callout(self, row: EventType) -> SafeString:
        """Links to what a receiver's author needs."""
        return format_html(
            '<a href="{}" download>JSON Schema of a callout</a> · <a href="{}" download>sample callout</a>',
            reverse("callout-schema", args=[row.code]),
            reverse("callout-sample", args=[row.code]),
        )
