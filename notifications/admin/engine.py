"""The engine's own rows: channels, lanes, attempts and runners. All of them are to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.page import RecordPage, at
from notifications.models import Attempt, Channel, Delivery, Endpoint, Lane, Runner
from smtpprofiles.models import SmtpProfile


@admin.register(Channel)
class ChannelAdmin(RecordPage[Channel]):
    """What workers lease: shards of endpoints and SMTP profiles."""

    list_display = [
        "name",
        "medium",
        "is_paused",
        "due",
        "rests_until",
        "rest",
        "leased_by",
        "in_flight_count",
        "epoch",
    ]
    list_filter = ["is_paused", "rest_cause"]
    search_fields = ["endpoint__name", "profile__name"]
    search_help_text = "Endpoint or SMTP profile"
    fields = [
        "name",
        "medium",
        "is_paused",
        "due",
        "rests_until",
        "rest",
        "leased_by",
        "leased",
        "epoch",
        "wake",
        "in_flight_count",
    ]
    due, rests_until, leased = (
        at("due_at", "due at"),
        at("not_before", "rests until"),
        at("leased_until", "leased until"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Without secrets."""
        related = super().get_queryset(request).select_related("endpoint", "profile")
        return related.defer(
            *(f"endpoint__{name}" for name in Endpoint.BULKY), *SmtpProfile.secrets("profile__")
        )

    @admin.display(description="channel")
    def name(self, row: Channel) -> str:
        """Endpoint or profile, and shard."""
        return str(row)

    @admin.display(description="medium")
    def medium(self, row: Channel) -> str:
        """Webhook or email."""
        return "webhook" if row.endpoint_id else "email"

    @admin.display(description="why it rests")
    def rest(self, row: Channel) -> str:
        """Why it rests, while it does."""
        rests = row.not_before is not None and row.not_before > timezone.now()
        return row.get_rest_cause_display() if rests else "—"

    @admin.display(description="leased by")
    def leased_by(self, row: Channel) -> str:
        """The worker that holds it now."""
        if row.leased_until is None:
            return "—"
        return row.owner if row.leased_until > timezone.now() else f"{row.owner} (ran out)"

    @admin.display(description="in flight")
    def in_flight_count(self, row: Channel) -> int:
        """How many deliveries are being sent."""
        return len(row.in_flight)


class BlockedFilter(admin.SimpleListFilter):
    """Lanes that wait for a person."""

    title = "blocked"
    parameter_name = "blocked"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Only those that are: finding the others would read them all."""
        return [("yes", "Blocked by a held delivery")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Lane]) -> QuerySet[Lane]:
        """The blocked ones; what waits for a digest waits for no person."""
        if self.value() != "yes":
            return queryset
        blocked = queryset.filter(blocked_by__isnull=False)
        return blocked.exclude(blocked_by__hold_cause=Delivery.HoldCause.COLLECTED)


@admin.register(Lane)
class LaneAdmin(RecordPage[Lane]):
    """The in-order sequences."""

    empty_help = (
        "Nothing yet. A lane is made with the first delivery of an account, or another ordering "
        "key, in an in-order queue."
    )
    list_display = ["key", "subscription", "recipient", "next_sequence", "tail", "waiting", "due", "head"]
    list_filter = [BlockedFilter]
    list_select_related = ["subscription", "blocked_by"]
    # Looked up exactly by get_search_results; naming one shows the search box.
    search_fields = ["key"]
    search_help_text = "Exactly: an ordering key, as subscription-number:key (7:account:1001)"
    ordering = ["-id"]
    sortable_by = ()
    fields = [
        "key",
        "subscription",
        "recipient",
        "next_sequence",
        "tail",
        "waiting",
        "waiting_deliveries",
        "due",
        "head",
    ]
    due = at("due_at", "due at")

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Lane], search_term: str
    ) -> tuple[QuerySet[Lane], bool]:
        """By subscription and key, which are indexed together."""
        number, _, key = search_term.strip().partition(":")
        if not search_term.strip():
            return queryset, False
        if not number.isdigit() or not key:
            return queryset.filter(key=search_term.strip()), False
        return queryset.filter(subscription_id=int(number), key=key), False

    @admin.display(description="waiting")
    def waiting(self, row: Lane) -> int:
        """How many numbers are given out and not passed yet."""
        return row.tail - row.next_sequence + 1

    @admin.display(description="which wait")
    def waiting_deliveries(self, row: Lane) -> SafeString:
        """A link to the deliveries that are not settled yet."""
        statuses = ",".join(Delivery.UNFINISHED)
        found = reverse("admin:notifications_delivery_changelist")
        url = f"{found}?lane__id__exact={row.pk}&status__in={statuses}"
        return format_html('<a href="{}">Its waiting deliveries</a>', url)

    @admin.display(description="blocked by")
    def head(self, row: Lane) -> SafeString | str:
        """The held delivery that it waits for."""
        if row.blocked_by is None:
            return "—"
        url = reverse("admin:notifications_delivery_change", args=[row.blocked_by_id])
        return format_html('<a href="{}">{}</a>', url, row.blocked_by.public_id)


@admin.register(Attempt)
class AttemptAdmin(RecordPage[Attempt]):
    """Every try of every delivery, newest first."""

    empty_help = "Nothing was sent yet. Each attempt at a delivery leaves one row here."
    list_display = [
        "started",
        "delivery_link",
        "verdict",
        "number",
        "status_code",
        "error_class",
        "duration_ms",
        "address",
        "is_fenced",
    ]
    started = at("started_at")
    list_filter = ["verdict"]
    ordering = ["-started_at"]
    sortable_by = ()
    fields = [
        "delivery_link",
        "number",
        "verdict",
        "status_code",
        "error_class",
        "detail",
        "started",
        "duration_ms",
        ("dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "is_reused"),
        "address",
        "sent",
        "got",
        "answer",
        "worker",
        "epoch",
        "is_fenced",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Without the large columns on the list."""
        queryset = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and (match.url_name or "").endswith("_changelist"):
            return queryset.defer("request_headers", "response_headers", "response_body", "detail")
        return queryset

    @admin.display(description="delivery")
    def delivery_link(self, row: Attempt) -> SafeString:
        """The delivery, linked."""
        url = reverse("admin:notifications_delivery_change", args=[row.delivery_id])
        return format_html('<a href="{}">delivery {}</a>', url, row.delivery_id)

    @admin.display(description="request headers")
    def sent(self, row: Attempt) -> SafeString:
        """What was sent, without secrets."""
        return format_html('<pre class="exact">{}</pre>', row.request_headers)

    @admin.display(description="response headers")
    def got(self, row: Attempt) -> SafeString:
        """What came back."""
        return format_html('<pre class="exact">{}</pre>', row.response_headers)

    @admin.display(description="response body")
    def answer(self, row: Attempt) -> SafeString:
        """What came back."""
        return format_html('<pre class="exact">{}</pre>', row.response_body)


@admin.register(Runner)
class RunnerAdmin(RecordPage[Runner]):
    """The processes that deliver now."""

    list_display = ["host", "pid", "started_at", "seen_at"]
    fields = ["id", "host", "pid", "started_at", "seen_at"]
