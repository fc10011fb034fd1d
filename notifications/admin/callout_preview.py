"""The page that shows what a subscription's callout would be, with a sample or a past event."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events import ids
from events.admin.page import M, Page
from events.models import Event, EventType
from notifications import preview, sample, vet
from notifications.models import Subscription

from . import target


class PreviewForm(forms.Form):
    """With which event."""

    error_css_class = "errors"
    use_required_attribute = False

    event_type: Any = forms.ModelChoiceField(
        EventType.objects.none(),
        to_field_name="code",
        label="Sample of",
        required=False,
        empty_label=None,
        help_text="The event types that the subscription gets.",
    )
    event = forms.CharField(
        label="Or a past event",
        required=False,
        max_length=50,
        widget=forms.TextInput(attrs={"size": 40, "autocomplete": "off", "spellcheck": "false"}),
        help_text="Its id, evt_…, as the event log shows it.",
    )

    def clean_event(self) -> Event | None:
        """The event of the id."""
        text = self.cleaned_data["event"].strip()
        uid = ids.parse("evt", text) if text else None
        found = Event.objects.select_related("type").filter(uid=uid).first() if uid else None
        if text and found is None:
            raise ValidationError(
                "There is no such event: copy its id from the event log, evt_ and 32 digits."
            )
        return found


class PreviewPage(Page[M]):
    """A page of subscriptions, each with its preview."""

    def get_urls(self) -> list[URLPattern]:
        """Beside the others, the preview of one."""
        view = self.admin_site.admin_view(self.preview_view)
        return [
            path("<int:pk>/preview/", view, name="notifications_subscription_preview"),
            *super().get_urls(),
        ]

    def preview_link(self, row: Subscription) -> SafeString | str:
        """A link to the preview of what is saved."""
        if row.pk is None:
            return "Save it first; then it can be shown with a sample or a past event."
        if row.endpoint_id is None:
            return "For webhooks."
        url = reverse("admin:notifications_subscription_preview", args=[row.pk])
        return format_html('<a href="{}">Preview with a sample or a past event</a> (as it is saved)', url)

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the callout; nothing is sent and nothing changes."""
        row = self._row(request, pk)
        types = vet.concerned(row, row.event_types.all())
        data = request.GET if request.GET else None
        form = PreviewForm(data, initial={"event_type": types[0].code if types else None})
        form.fields["event_type"].queryset = EventType.objects.filter(pk__in=[each.pk for each in types])  # type: ignore[attr-defined]
        may_read_events = request.user.has_perm("events.view_event")
        if not may_read_events:
            del form.fields["event"]
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Preview of {row}",
            "row": row,
            "opts": self.opts,
            "form": form,
            "change_url": reverse("admin:notifications_subscription_change", args=[row.pk]),
            "list_url": reverse("admin:notifications_subscription_changelist"),
            "has_types": bool(types),
        }
        if types and (data is None or form.is_valid()):
            chosen = form.cleaned_data if data is not None else {}
            event, event_type = chosen.get("event"), chosen.get("event_type") or types[0]
            context |= self._shown(row, event, event_type)
        return TemplateResponse(request, "admin/notifications/subscription/preview.html", context)

    def _row(self, request: HttpRequest, pk: int) -> Subscription:
        found = Subscription.objects.select_related("queue", "endpoint").filter(pk=pk).first()
        if found is None or found.endpoint is None:
            raise Http404
        if not self.has_view_permission(request, found):  # type: ignore[arg-type]
            raise PermissionDenied
        return found

    def _shown(self, row: Subscription, event: Event | None, event_type: EventType) -> dict[str, Any]:
        is_ordered = row.queue.is_ordered
        claimed = (
            sample.of_event(event, is_ordered=is_ordered, subscription_id=row.pk)
            if event
            else sample.of_sample(event_type, is_ordered=is_ordered, subscription_id=row.pk)
        )
        draft = preview.Draft.of(row.queue.name, row.payload_template, row.parameters.all())
        try:
            made = preview.preview(draft, claimed)
        except ValidationError as error:
            return {"faults": error.messages, "shown": event.public_id if event else event_type.code}
        url = target.address(row.endpoint) if row.endpoint else ""
        query = f"{'&' if '?' in url else '?'}{urlencode(made.query)}" if made.query else ""
        return {
            "shown": f"{event.public_id} ({event.type})" if event else f"the sample of {event_type.code}",
            "request_line": f"POST {url}{query}",
            "headers": made.headers,
            "body": made.body,
            # Not parsed and written again: 19.90 must not be shown as 19.9.
            "indented": msgspec.json.format(made.body, indent=2),
        }
