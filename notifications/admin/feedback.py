"""What became of mails, and who is not to be mailed."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.page import Page, RecordPage, at, clip, count, reason_of
from notifications import suppress
from notifications.models import DeliveryFeedback, OptOut, Suppression
from notifications.subscribe_again import subscribe_again
from smtpprofiles.models import SmtpProfile


def _link(delivery_id: int | None) -> SafeString | str:
    if delivery_id is None:
        return "—"
    url = reverse("admin:notifications_delivery_change", args=[delivery_id])
    return format_html('<a href="{}">The delivery</a>', url)


@admin.register(DeliveryFeedback)
class DeliveryFeedbackAdmin(RecordPage[DeliveryFeedback]):
    """What providers say of mails, newest first."""

    occurred, received = at("occurred_at"), at("received_at")
    empty_help = "No provider reported yet. Reports come once a feedback address is entered at the provider."
    list_display = ["recipient", "kind", "is_permanent", "said", "provider", "profile", "link", "occurred"]
    list_filter = ["kind", "provider"]
    list_select_related = ["profile"]
    search_fields = ["recipient"]
    search_help_text = "Exactly: the address of a recipient"
    sortable_by = ()
    fields = [
        "recipient",
        "kind",
        "is_permanent",
        "detail",
        "link",
        "provider",
        "profile",
        "message_id",
        "event_id",
        "occurred",
        "received",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeliveryFeedback]:
        """Without the secrets of profiles."""
        return (
            super().get_queryset(request).select_related("profile").defer(*SmtpProfile.secrets("profile__"))
        )

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[DeliveryFeedback], search_term: str
    ) -> tuple[QuerySet[DeliveryFeedback], bool]:
        """Exact, on the index."""
        term = search_term.strip()
        return (queryset.filter(recipient__in={term, term.lower()}) if term else queryset), False

    @admin.display(description="what was said")
    def said(self, row: DeliveryFeedback) -> SafeString | str:
        """The words of the provider, cut."""
        return clip(row.detail)

    @admin.display(description="about")
    def link(self, row: DeliveryFeedback) -> SafeString | str:
        """The delivery, linked."""
        return _link(row.delivery_id)


class ReleasedFilter(admin.SimpleListFilter):
    """Those in force, unless others are asked for."""

    title = "in force"
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _page: Any) -> list[tuple[str, str]]:
        """Both kinds."""
        return [("released", "Released"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Call the first choice what it is."""
        for position, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Suppressed now"} if position == 0 else choice

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Suppression]) -> QuerySet[Suppression]:
        """Leave out the others."""
        if self.value() == "all":
            return queryset
        return queryset.filter(released_at__isnull=self.value() != "released")


@admin.register(Suppression)
class SuppressionAdmin(Page[Suppression]):
    """Addresses that get no mail."""

    since, released = at("created_at", "since"), at("released_at")
    empty_help = "No address is suppressed: all of them get their mail."
    list_display = ["address", "reason", "said", "said_by", "since", "created_by", "released", "released_by"]
    list_filter = [ReleasedFilter, "reason"]
    search_fields = ["address"]
    search_help_text = "Exactly: an address"
    sortable_by = ()
    actions = ["release"]
    buttons = ["release"]
    button_help = {
        "release": "The address gets mail again, from the next event on; a new bounce stops it again."
    }

    def get_fields(self, _request: HttpRequest, obj: Suppression | None = None) -> Any:
        """What a person says of a new one, and all of an old one."""
        if obj is None:
            return ["address", "detail"]
        return [
            "address",
            "reason",
            "detail",
            "said_by",
            "link",
            "since",
            "created_by",
            "released",
            "released_by",
        ]

    def has_change_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        """A record, once it is there."""
        return obj is None and super().has_change_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        """Whoever may view or release them."""
        allowed = request.user.has_perm("notifications.change_suppression")
        return allowed or super().has_view_permission(request, obj)

    def has_delete_permission(self, _request: HttpRequest, _obj: Suppression | None = None) -> bool:
        """Released instead, so that it stays on record."""
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Whoever may change them."""
        return request.user.has_perm("notifications.change_suppression")

    def offers(self, _name: str, row: Suppression) -> bool:
        """Once."""
        return row.released_at is None

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        """Exact, on the index."""
        term = search_term.strip().lower()
        return (queryset.filter(address=term) if term else queryset), False

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        """Suppress it, and take back what waits."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            suppress.follow(obj, request.user)

    @admin.action(description="Release", permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        """Mail these addresses again."""
        ids = list(queryset.values_list("pk", flat=True))
        done = suppress.release(ids, request.user, reason_of(request))
        self.tell(request, f"{count(done, 'address', 'addresses')} released.")

    @admin.display(description="detail")
    def said(self, row: Suppression) -> SafeString | str:
        """What was said, cut."""
        return clip(row.detail)

    @admin.display(description="from")
    def link(self, row: Suppression) -> SafeString | str:
        """The delivery that showed it, linked."""
        return _link(row.delivery_id)


@admin.register(OptOut)
class OptOutAdmin(RecordPage[OptOut]):
    """Who left the mails of which subscription."""

    since = at("created_at", "since")
    empty_help = "Nobody opted out. Only subscriptions where recipients may opt out offer it."
    list_display = ["address", "subscription", "is_one_click", "since"]
    list_select_related = ["subscription"]
    search_fields = ["address"]
    search_help_text = "Exactly: an address"
    sortable_by = ()
    fields = ["address", "subscription", "is_one_click", "since"]
    actions = ["subscribe_again"]
    buttons = ["subscribe_again"]
    button_help = {"subscribe_again": "Only where the recipient has asked for it: the mails come again."}

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may delete them."""
        return request.user.has_perm("notifications.delete_optout")

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[OptOut], search_term: str
    ) -> tuple[QuerySet[OptOut], bool]:
        """Exact, on the index."""
        term = search_term.strip().lower()
        return (queryset.filter(address=term) if term else queryset), False

    @admin.action(description="Subscribe again", permissions=["operate"])
    def subscribe_again(self, request: HttpRequest, queryset: QuerySet[OptOut]) -> HttpResponse:
        """Send them the mails again."""
        done = subscribe_again(queryset, request.user, reason_of(request))
        self.tell(request, f"{count(done, 'recipient')} subscribed again.")
        return HttpResponseRedirect(reverse("admin:notifications_optout_changelist"))
