"""The audit log, and taking in what operators do in the apps below."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from events.admin.audit import operator_acted, pauses_asked
from events.admin.page import RecordPage, at, clip
from notifications import pauses, subjects
from notifications.audit import Actor, record
from notifications.models import AuditEntry

from .subject_link import page_of

MOST_CHOICES = 100
SHOWN = 3
_PROGRAMS = "programs"


@receiver(operator_acted)
def keep(
    actor: Actor,
    action: str,
    subjects: Iterable[str],
    reason: str,
    changes: Sequence[Sequence[str]] = (),
    **_: Any,
) -> None:
    """Write down what was done in the apps below."""
    record(actor, action, subjects, reason, changes)


@receiver(pauses_asked)
def tell_pauses(rows: Iterable[Any], **_: Any) -> None:
    """Say of the rows of the apps below who paused them."""
    pauses.annotate(rows)


class WhoFilter(admin.SimpleListFilter):
    """By person, or what programs did with their keys."""

    title = "who"
    parameter_name = "who"

    def lookups(self, _request: HttpRequest, _page: Any) -> list[tuple[str, str]]:
        """Who may sign in here, and programs."""
        people = get_user_model()._default_manager.filter(is_staff=True).order_by("username")
        named = people.values_list("pk", "username")[:MOST_CHOICES]
        return [*((str(pk), name) for pk, name in named), (_PROGRAMS, "Programs and the system")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """What the chosen one did."""
        chosen = self.value() or ""
        if chosen == _PROGRAMS:
            return queryset.filter(actor=None)
        return queryset.filter(actor=int(chosen)) if chosen.isdecimal() else queryset


class KindFilter(admin.SimpleListFilter):
    """By kind of object: those that there are entries of."""

    title = "kind of object"
    parameter_name = "kind"

    def lookups(self, _request: HttpRequest, _page: Any) -> list[tuple[str, str]]:
        """Each kind once, by its name."""
        self._kinds: dict[str, list[str]] = {}
        for kind in distinct("kind"):
            self._kinds.setdefault(kind_label(kind), []).append(kind)
        return [(kinds[0], label) for label, kinds in sorted(self._kinds.items())]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """What was done to the chosen kind, however its actions name it."""
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(kind__in=self._kinds.get(kind_label(chosen), [chosen]))


class ActionFilter(admin.SimpleListFilter):
    """By action: those that there are entries of, of the chosen kind if one is."""

    title = "action"
    parameter_name = "action"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        """See which kind is chosen."""
        self._kind = request.GET.get(KindFilter.parameter_name, "")
        super().__init__(request, params, model, model_admin)

    def lookups(self, _request: HttpRequest, _page: Any) -> list[tuple[str, str]]:
        """Each action once."""
        wanted = kind_label(self._kind) if self._kind else ""
        found = [each for each in distinct("action") if not wanted or _kind_of(each) == wanted]
        return sorted(((each, action_label(each)) for each in found), key=lambda pair: pair[1])

    def queryset(self, _request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The chosen action."""
        return queryset.filter(action=self.value()) if self.value() else queryset


def distinct(column: str) -> list[str]:
    """Return each value of an indexed column once, by a probe of the index for each instead of reading all rows."""
    name = connection.ops.quote_name(column)
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH RECURSIVE each(value) AS (
                  (SELECT {name} FROM {table} ORDER BY {name} LIMIT 1)
                  UNION ALL
                  SELECT (SELECT {name} FROM {table} WHERE {name} > each.value ORDER BY {name} LIMIT 1)
                  FROM each WHERE each.value IS NOT NULL)
                SELECT value FROM each WHERE value IS NOT NULL LIMIT 200"""  # noqa: S608 - names of ours
        )
        return [row[0] for row in cursor.fetchall()]


def _kind_of(action: str) -> str:
    return kind_label(action.partition(".")[0])


def kind_label(kind: str) -> str:
    """Return what a kind is called: "SMTP profile" for smtpprofile."""
    model = subjects.model_of(kind.replace("_", " "))
    return str(model._meta.verbose_name if model else kind.replace("_", " "))


def action_label(action: str) -> str:
    """Return an action as people read it: "endpoint: reveal secret"."""
    verb = action.partition(".")[2]
    return f"{_kind_of(action)}: {verb.replace('_', ' ')}"


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordPage[AuditEntry]):
    """Who did what, when and why."""

    empty_help = (
        "Nothing yet. What people change, do with buttons and actions, and secrets they make or see, is "
        "written down here."
    )
    list_display = ["created", "actor_name", "what", "about", "told", "reason_text", "origin"]
    list_filter = [WhoFilter, KindFilter, ActionFilter, "created_at"]
    # Looked up by get_search_results; naming one shows the search box.
    search_fields = ["subject"]
    search_help_text = "Exactly: the name of what it was done to, such as an endpoint's, or its id (dlv_…)"
    ordering = ["-id"]
    sortable_by = ()
    created = at("created_at", "at")
    fields = ["created", "actor_name", "what", "about", "change_table", "reason", "origin"]

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """By name in any case, or subject; each is indexed."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = ~Q(name="") & Q(_lower_name=term.lower())
        return queryset.alias(_lower_name=Lower("name")).filter(named | Q(subject=term)), False

    @admin.display(description="action")
    def what(self, row: AuditEntry) -> str:
        """What was done."""
        return action_label(row.action)

    @admin.display(description="object")
    def about(self, row: AuditEntry) -> SafeString | str:
        """What it was done to, by its name, linked."""
        url = page_of(row.subject, row.action)
        text = row.name or row.subject
        return format_html('<a href="{}">{}</a>', url, text) if url else text

    @admin.display(description="changes")
    def told(self, row: AuditEntry) -> SafeString | str:
        """The first changes, in one line."""
        lines = [f"{label}: {old} → {new}" for label, old, new in row.changes[:SHOWN]]
        more = f" and {len(row.changes) - SHOWN} more" if len(row.changes) > SHOWN else ""
        return clip("; ".join(lines) + more, 120)

    @admin.display(description="reason")
    def reason_text(self, row: AuditEntry) -> SafeString | str:
        """Why, cut."""
        return clip(row.reason)

    @admin.display(description="changes")
    def change_table(self, row: AuditEntry) -> SafeString | str:
        """Each field, what it was and what it is; secrets are only said to have changed."""
        if not row.changes:
            return "—"
        lines = format_html_join(
            "", '<tr><th scope="row">{}</th><td><del>{}</del></td><td><ins>{}</ins></td></tr>', row.changes
        )
        return format_html(
            '<table class="differences"><thead><tr><th scope="col">Field</th><th scope="col">Before</th>'
            '<th scope="col">After</th></tr></thead><tbody>{}</tbody></table>',
            lines,
        )
