"""The delivery log."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events import ids
from events.admin.page import RecordPage, at, clip, short
from events.models import Event
from notifications import why
from notifications.models import AuditEntry, Delivery
from smtpprofiles.models import SmtpProfile

from . import digest_page, story, target
from .delivery_verbs import DeliveryVerbs
from .filters import LOG

# Events of one account or ordering key that a search takes in, newest first.
MOST_EVENTS = 1_000
MOST_AUDIT_ENTRIES = 100
MOST_FEEDBACK = 100


@admin.register(Delivery)
class DeliveryAdmin(DeliveryVerbs, RecordPage[Delivery]):
    """Who was told what, when, and how it went."""

    empty_help = "Nothing yet. A delivery is made for each event and each subscription that it is for."
    list_display = [
        "short_id",
        "state",
        "event_type",
        "key",
        "to",
        "error",
        "tries",
        "next_try",
        "created",
    ]
    list_filter = LOG
    # Looked up exactly by get_search_results; naming one shows the search box.
    search_fields = ["recipient"]
    search_help_text = "Exactly: an id (dlv_… or evt_…), a recipient, an account or an ordering key"
    ordering = ["-id"]
    sortable_by = ()
    created, settled = at("created_at"), at("settled_at")
    change_form_template = "admin/notifications/delivery/change_form.html"
    fieldsets = [
        (
            None,
            {"fields": ["public_id", "event", "event_type", "account", "subscription", "to_link", "state"]},
        ),
        ("Order", {"fields": ["lane_link", "sequence", "ordering_key"]}),
        (
            "Record",
            {
                "fields": [
                    "channel_link",
                    "attempt_count",
                    "crash_count",
                    "last_error",
                    "next_try",
                    "created",
                    "settled",
                ],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """With what a row shows, without payloads and secrets."""
        return (
            super()
            .get_queryset(request)
            .select_related(
                "event__type",
                "subscription__queue",
                "channel__circuit",
                "channel__endpoint",
                "channel__profile",
                "lane__blocked_by",
                "collected__digest__delivery",
            )
            .defer("event__data", "event__type__sample", "event__type__schema", "event__type__description")
            .defer(*target.SECRETS, *SmtpProfile.secrets("channel__profile__"))
        )

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """Exact, each on its index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        for prefix, column in (("dlv", "uid"), ("evt", "event__uid")):
            if term.startswith(f"{prefix}_"):
                uid = ids.parse(prefix, term)
                return (queryset.filter(**{column: uid}) if uid else queryset.none()), False
        events = Event.objects.filter(Q(account=term) | Q(ordering_key=term)).order_by("-id")
        newest = list(events.values_list("pk", flat=True)[:MOST_EVENTS])
        return queryset.filter(Q(recipient=term) | Q(event__in=newest)), False

    @admin.display(description="id")
    def short_id(self, row: Delivery) -> SafeString:
        """The end of the id, which tells rows apart."""
        return short(row.public_id)

    @admin.display(description="id")
    def public_id(self, row: Delivery) -> str:
        """The id that the outside sees."""
        return row.public_id

    @admin.display(description="event type")
    def event_type(self, row: Delivery) -> str:
        """The event's type."""
        return row.event.type.code

    @admin.display(description="account")
    def account(self, row: Delivery) -> str:
        """The event's account."""
        return row.event.account or "—"

    @admin.display(description="key")
    def key(self, row: Delivery) -> str:
        """The event's ordering key, else its account."""
        return row.event.ordering_key or row.event.account or "—"

    @admin.display(description="ordering key")
    def ordering_key(self, row: Delivery) -> str:
        """The event's ordering key."""
        return row.event.ordering_key or "—"

    @admin.display(description="to")
    def to(self, row: Delivery) -> str:
        """The address of an email, the name of an endpoint."""
        return target.name(row)

    @admin.display(description="to")
    def to_link(self, row: Delivery) -> SafeString | str:
        """The address of an email; the endpoint, linked, with what is called."""
        line = target.request_line(row, story.body_of(row))
        shown = target.link(row)
        return format_html('{} <code class="called">{}</code>', shown, line) if line else shown

    @admin.display(description="tries")
    def tries(self, row: Delivery) -> int:
        """How many attempts of the schedule are spent."""
        return row.attempt_count

    @admin.display(description="lane")
    def lane_link(self, row: Delivery) -> SafeString | str:
        """The lane, linked."""
        if row.lane_id is None:
            return "—"
        url = reverse("admin:notifications_lane_change", args=[row.lane_id])
        return format_html('<a href="{}">{}</a>', url, row.lane)

    @admin.display(description="status")
    def state(self, row: Delivery) -> str:
        """The status, or in flight."""
        return why.state(row, timezone.now())

    @admin.display(description="next try at")
    def next_try(self, row: Delivery) -> str:
        """When it is due, or what it waits for."""
        return why.next_try(row, timezone.now()) or "—"

    @admin.display(description="last error")
    def error(self, row: Delivery) -> SafeString | str:
        """The last error, cut."""
        return clip(row.last_error)

    @admin.display(description="channel")
    def channel_link(self, row: Delivery) -> SafeString | str:
        """The channel, linked."""
        if row.channel_id is None:
            return "—"
        url = reverse("admin:notifications_channel_change", args=[row.channel_id])
        return format_html('<a href="{}">{}</a>', url, row.channel)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Add the sentence that says where it stands, its attempts and what was sent."""
        row = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            body = story.body_of(row)
            is_email = bool(row.recipient)
            attempts = story.attempts_of(row)
            context |= {
                "why": story.sentence(row),
                "audit": AuditEntry.objects.filter(subject=row.public_id)[:MOST_AUDIT_ENTRIES],
                "attempts": attempts,
                "curl": story.curl(attempts, body),
                "feedback": row.feedback.order_by("occurred_at", "id")[:MOST_FEEDBACK] if is_email else (),
                "rendered": body,
                **story.shown(body),
                "digest": digest_page.digest_carried_by(row),
                "is_email": is_email,
                "subject": story.subject(body.body) if body and is_email else "",
            }
        return super().change_view(request, object_id, form_url, context)
