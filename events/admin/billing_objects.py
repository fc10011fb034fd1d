"""Billing objects as last reported: where each belongs, what it was, and what came of it."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from events import exact
from events.models import Activity, BillingObject, Change, Event, ObjectKind
from events.payload import lookup

from .changes import KindFilter, standing
from .difference import object_link, summary, value_text
from .event import pretty
from .find_object import of_object
from .page import RecordPage, at, clip, utc

MOST = 20
DEEPEST = 10
EMPTY = (
    "No object is known yet. The billing system reports them: PUT /api/v1/objects/account/1001/, with a key that has "
    "the scope objects:write. A Django project follows its own models by events.track; see docs/objects.md."
)


@admin.register(BillingObject)
class BillingObjectAdmin(RecordPage[BillingObject]):
    """Accounts, services, invoices, …: reported by the billing system, read here."""

    empty_help = (
        "Nothing was reported yet. Objects come by PUT /api/v1/objects/KIND/ID/, or from the "
        "models of a Django project."
    )
    list_display = ["external_id", "kind", "name", "status", "parent_link", "version", "reported"]
    list_display_links = ["external_id"]
    list_filter = [KindFilter]
    list_select_related = ["parent"]
    # Looked up exactly by get_search_results; naming one shows the search box.
    search_fields = ["external_id"]
    search_help_text = "Exactly: kind:id, such as account:1001, or a kind"
    fieldsets = [
        (None, {"fields": ["kind", "external_id", "standing", "lineage"]}),
        ("Times", {"fields": ["version", "reported", "created", "activity"]}),
        ("State", {"fields": ["state_text"]}),
        ("What came of it", {"fields": ["history", "events"]}),
    ]
    sortable_by = ()
    reported, created = at("reported_at"), at("created_at", "first heard of")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say where objects come from, while there is none."""
        if not BillingObject.objects.exists():
            self.message_user(request, EMPTY)
        return super().changelist_view(request, extra_context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BillingObject]:
        """With the places where its kind has the name and the status."""
        kind = ObjectKind.objects.filter(code=OuterRef("kind"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                _name_path=Subquery(kind.values("name_path")),
                _status_path=Subquery(kind.values("status_path")),
            )
        )

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[BillingObject], search_term: str
    ) -> tuple[QuerySet[BillingObject], bool]:
        """By kind and id, which are indexed together; by a kind alone."""
        return of_object(queryset, search_term), False

    @admin.display(description="name")
    def name(self, row: BillingObject) -> SafeString | str:
        """What people know it by."""
        return clip(_at(row, "_name_path"), 40)

    @admin.display(description="status")
    def status(self, row: BillingObject) -> SafeString | str:
        """Its status; deleted if it is."""
        return "deleted" if row.deleted_at else clip(_at(row, "_status_path"), 30)

    @admin.display(description="belongs to")
    def parent_link(self, row: BillingObject) -> SafeString | str:
        """What it belongs to, linked."""
        return object_link(row.parent, row.parent.kind, row.parent.external_id) if row.parent else "—"

    @admin.display(description="standing")
    def standing(self, row: BillingObject) -> str:
        """Whether it was reported, and whether it still is."""
        if row.deleted_at:
            return f"Deleted {utc(row.deleted_at)}; below is its last state."
        if row.reported_at is None:
            return "Only named as the parent of another object so far; its own report has yet to come."
        return "Known, as of its last report."

    @admin.display(description="lineage")
    def lineage(self, row: BillingObject) -> SafeString:
        """The object and what it belongs to, up to the top."""
        found: list[BillingObject] = []
        above: BillingObject | None = row
        while above is not None and len(found) < DEEPEST:
            found.append(above)
            above = above.parent
        links = ((object_link(each, each.kind, each.external_id),) for each in found)
        return format_html_join(" → ", "{}", links)

    @admin.display(description="last activity")
    def activity(self, row: BillingObject) -> SafeString | str:
        """When it was last used, by kind of activity."""
        found = Activity.objects.filter(kind=row.kind, external_id=row.external_id).order_by("activity")
        lines = [(each.get_activity_display(), utc(each.last_at)) for each in found]
        return format_html_join("", "<div>{}: {}</div>", lines) if lines else "None was reported."

    @admin.display(description="state")
    def state_text(self, row: BillingObject) -> SafeString:
        """The state, indented, with its numbers as they are kept."""
        return format_html('<pre class="exact">{}</pre>', pretty(exact.dumps(row.state)))

    @admin.display(description="changes")
    def history(self, row: BillingObject) -> SafeString:
        """The newest changes, each with what differs."""
        found = list(
            Change.objects.filter(kind=row.kind, external_id=row.external_id).order_by("-id")[: MOST + 1]
        )
        if not found:
            return format_html("{}", "None is kept.")
        rows = [
            (
                reverse("admin:events_change_change", args=[each.pk]),
                utc(each.reported_at),
                each.get_operation_display(),
                summary(each),
                standing(each),
            )
            for each in found[:MOST]
        ]
        return format_html(
            '<table class="differences"><thead><tr><th scope="col">Reported</th><th scope="col">Operation</th>'
            '<th scope="col">What</th><th scope="col">Triggers</th></tr></thead><tbody>{}</tbody></table>{}',
            format_html_join(
                "", '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}</td><td>{}</td></tr>', rows
            ),
            _more(row) if len(found) > MOST else "",
        )

    @admin.display(description="events")
    def events(self, row: BillingObject) -> SafeString:
        """The newest events of what it is kept in order with: its account, or itself."""
        top = row
        for _ in range(DEEPEST):
            if top.parent is None:
                break
            top = top.parent
        key = f"{top.kind}:{top.external_id}"
        found = Event.objects.filter(ordering_key=key).select_related("type").defer("data").order_by("-id")
        rows = [
            (
                reverse("admin:events_event_change", args=[each.pk]),
                each.type.label,
                each.get_source_display(),
                utc(each.occurred_at),
            )
            for each in found[:MOST]
        ]
        ledger = reverse("admin:events_ledgerentry_changelist")
        why = format_html(
            '<div><a href="{}?{}">Ledger: why triggers did, or did not, fire</a></div>',
            ledger,
            urlencode({"q": f"{row.kind}:{row.external_id}"}),
        )
        if not rows:
            return format_html("No event is kept for {}.{}", key, why)
        lines = format_html_join("", '<div><a href="{}">{}</a> ({}), {}</div>', rows)
        url = f"{reverse('admin:events_event_changelist')}?{urlencode({'q': key})}"
        return format_html('{}<div><a href="{}">All events of {}</a></div>{}', lines, url, key, why)


def _at(row: BillingObject, path: str) -> str:
    path = getattr(row, path, None) or ""
    value = lookup(row.state, path) if path else None
    return "" if value is None else value_text(value)


def _more(row: BillingObject) -> SafeString:
    url = f"{reverse('admin:events_change_changelist')}?{urlencode({'q': f'{row.kind}:{row.external_id}'})}"
    return format_html('<p><a href="{}">All its changes</a></p>', url)
