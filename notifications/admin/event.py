"""The event log again, now with the deliveries of each event."""

from collections import Counter, defaultdict
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin.event import EventAdmin
from events.admin.page import RecordInline, at, clip
from events.models import Event
from notifications import passed_over, why
from notifications.models import Delivery

from . import target
from .target import SECRETS

# Importing it has registered the page of the app below; this one stands in for it.
admin.site.unregister(Event)


class EventChangeList(ChangeList):
    """A page of events, with the deliveries of all of them counted in one query."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then count."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        counted: defaultdict[int, Counter[str]] = defaultdict(Counter)
        grouped = Delivery.objects.filter(event__in=[row.pk for row in rows]).order_by()
        for event_id, status, number in grouped.values_list("event", "status").annotate(Count("pk")):
            counted[event_id][status] = number
        for row in rows:
            row.delivery_counts = counted[row.pk]
        self.result_list = rows


class DeliveryInline(RecordInline[Delivery, Event]):
    """The deliveries of an event, to look at."""

    model = Delivery
    classes = ("record",)
    fields = ("link", "subscription", "to", "state", "attempt_count", "error", "settled")
    readonly_fields = fields
    show_change_link = False
    ordering = ["id"]
    settled = at("settled_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """With what a row shows."""
        return (
            super().get_queryset(request).select_related("subscription", "channel__endpoint").defer(*SECRETS)
        )

    @admin.display(description="id")
    def link(self, row: Delivery) -> SafeString:
        """The delivery, linked."""
        url = reverse("admin:notifications_delivery_change", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, row.public_id)

    @admin.display(description="to")
    def to(self, row: Delivery) -> str:
        """The address of an email, the name of an endpoint."""
        return target.name(row)

    @admin.display(description="last error")
    def error(self, row: Delivery) -> SafeString | str:
        """The last error, cut."""
        return clip(row.last_error)

    @admin.display(description="status")
    def state(self, row: Delivery) -> str:
        """The status, or in flight."""
        return why.state(row, timezone.now())


@admin.register(Event)
class EventWithDeliveriesAdmin(EventAdmin):
    """The event log, with how each event is doing."""

    list_display = [*EventAdmin.list_display[:2], "delivery_summary", *EventAdmin.list_display[2:]]
    inlines = [DeliveryInline]
    fieldsets = [*EventAdmin.fieldsets, ("Who did not get it, and why", {"fields": ["not_told"]})]

    @admin.display(description="not told")
    def not_told(self, row: Event) -> SafeString | str:
        """The subscriptions one would expect to get it that have no delivery of it, each with the reason."""
        if hasattr(row, "inbox_entry"):
            return "It is not fanned out yet: its deliveries are still to be made."
        if hasattr(row, "quarantine"):
            return "Its deliveries could not be made: see its quarantine."
        told = set(row.deliveries.values_list("subscription_id", flat=True)[: passed_over.MOST])
        routed = passed_over.routes([row.type_id])
        found = passed_over.explain(row, told, passed_over.candidates([row.type_id]), routed)
        nowhere = passed_over.nowhere(row, routed)
        if not found:
            everybody = "Nobody else: no other subscription reads a queue that it flows into."
            return nowhere or (everybody if told else "No subscription is for events of this type.")
        page = "admin:notifications_subscription_change"
        near, far = (
            format_html_join(
                "",
                '<li><a href="{}">{}</a>: {}</li>',
                [
                    (reverse(page, args=[each.subscription.pk]), each.subscription, each.reason)
                    for each in found
                    if each.wants_others == others
                ],
            )
            for others in (False, True)
        )
        rest = format_html(
            '<details><summary>Those that want other event types</summary><ul class="told">{}</ul></details>',
            far,
        )
        told_of = format_html('<ul class="told">{}</ul>', near) if near else "Nobody that wants such events."
        return format_html("{} {}{}", nowhere, told_of, rest if far else "")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        """The one that counts."""
        return EventChangeList

    @admin.display(description="deliveries")
    def delivery_summary(self, row: Event) -> str:
        """How many deliveries there are of each status."""
        counts: Any = getattr(row, "delivery_counts", Counter())
        named = [f"{counts[each]} {each.label.lower()}" for each in Delivery.Status if counts[each]]
        return ", ".join(named) or "none"
