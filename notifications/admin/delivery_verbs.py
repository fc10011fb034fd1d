"""What an operator may do to deliveries, as actions of the list and buttons of a page."""

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from events.admin.page import Page, count, reason_of
from notifications import operate, why
from notifications.models import Delivery

_VERBS = ["retry", "skip", "cancel", "hold", "release"]


class DeliveryVerbs(Page[Delivery]):
    """Retry, skip, cancel, hold, release."""

    actions = _VERBS
    buttons = _VERBS
    button_help = {
        "retry": "Sent as soon as a worker is free; it costs no step of the retry schedule, so a failure "
        "takes the same step again.",
        "skip": "Its lane goes on without it; the receiver is told the number was skipped.",
        "cancel": "It is never sent; what waits behind it goes on.",
        "hold": "It is not sent until it is released; what comes after it in its lane waits.",
        "release": "It goes on where it was, and its lane with it.",
    }

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may change deliveries."""
        return request.user.has_perm("notifications.change_delivery")

    def offers(self, name: str, row: Delivery) -> bool:
        """What can be tried on this status; whether it works is for `operate` to say."""
        if name == "retry":
            failed = [Delivery.Status.RETRYING, Delivery.Status.HELD, Delivery.Status.DEAD]
            failed += [] if row.lane_id else [Delivery.Status.DIGESTED]
            return row.status in failed and not why.paused_by(row.subscription)
        if name == "hold":
            return row.status in Delivery.WAITING
        if name == "release":
            return row.hold_cause in operate.RELEASABLE
        return row.status in Delivery.UNFINISHED and (name == "cancel" or row.lane_id is not None)

    @admin.action(description="Retry now", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Make held, dead or waiting deliveries due now."""
        self._operate(request, queryset, operate.retry, "made due now")

    @admin.action(description="Skip", permissions=["operate"])
    def skip(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Let lanes go on without these."""
        self._operate(request, queryset, operate.skip, "skipped")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Give these up."""
        self._operate(request, queryset, operate.cancel, "cancelled")

    @admin.action(description="Hold", permissions=["operate"])
    def hold(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Keep these from being sent until they are released."""
        self._operate(request, queryset, operate.hold, "held")

    @admin.action(description="Release", permissions=["operate"])
    def release(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Let go on what a person or the event's publisher held."""
        self._operate(request, queryset, operate.release, "released")

    def _operate(
        self,
        request: HttpRequest,
        queryset: QuerySet[Delivery],
        act: Callable[..., operate.Report],
        done: str,
    ) -> None:
        # One more than is done at once, so that the report says there are others.
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[: operate.LIMIT + 1])
        report = act(chosen, request.user, reason_of(request))
        refused = [
            f"{count(number, 'delivery', 'deliveries')} left alone: {text}."
            for text, number in report.refused.items()
        ]
        self.tell(request, f"{count(report.done, 'delivery', 'deliveries')} {done}.", refused)
