"""What the pages of endpoints and SMTP profiles share: how they fare, what waits, pausing and resuming."""

from collections.abc import Sequence
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from events.admin.page import Page, clip, count, reason_of, utc
from events.admin.pausable import PausableList
from notifications import backlog, diagnose, pauses, switch
from notifications.diagnose import State
from notifications.forms import ResumeForm
from notifications.models import Delivery, Endpoint
from smtpprofiles.models import SmtpProfile

D = TypeVar("D", Endpoint, SmtpProfile)

# What is resumed in one go: each is counted for the preview.
MOST_AT_ONCE = 100
# For how long a backlog takes at these rates the preview tells.
RATES = (60, 600, 6_000)


class StatusFilter(admin.SimpleListFilter):
    """Endpoints or SMTP profiles by how they fare."""

    title = "status"
    parameter_name = "status"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The three that there are."""
        return [(each.value, str(each.label)) for each in State]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the chosen one."""
        # A person's own pause and one by the system are the same to whoever looks.
        is_on, fails = Q(is_active=True, paused_reason=""), Q(circuit__opened_at__isnull=False)
        chosen: dict[str | None, Q] = {
            State.RUNNING: is_on & ~fails,
            State.FAILING: is_on & fails,
            State.PAUSED: ~is_on,
        }
        return queryset.filter(chosen[self.value()]) if self.value() in chosen else queryset


class DestinationPage(Page[D]):
    """A list that tells how each fares, a page that tells what waits, and a resume that shows it first."""

    actions = ["pause", "resume"]
    buttons = ["pause", "resume"]
    button_help = {
        "pause": "It is not used until it is resumed; what is for it waits, and none is lost.",
        "resume": "First shows what waits, and asks how fast it may go.",
    }
    # For a fieldset of its own; all of them are worked out, none is edited.
    delivery_fields = ("status", "circuit_story", "rate_story", "waiting", "last_failure")

    def get_queryset(self, request: HttpRequest) -> QuerySet[D]:
        """With the circuit, which tells how it fares."""
        rows: Any = super().get_queryset(request)  # the checker loses the type of either
        return rows.select_related("circuit")  # type: ignore[no-any-return]

    def get_urls(self) -> list[URLPattern]:
        """Beside the others, the page that resumes."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_resume"
        return [path("resume/", self.admin_site.admin_view(self.resume_view), name=name), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        """The one that tells of pauses."""
        return PausableList

    def save_model(self, request: HttpRequest, obj: D, form: Any, change: bool) -> None:
        """Save; one that this stops or lets go on is in the audit log, as after the buttons."""
        save: Any = super().save_model  # the checker loses the type of either
        if not change:
            save(request, obj, form, change)
            return
        with switch.edited(obj, request.user):
            save(request, obj, form, change)

    def offers(self, name: str, row: D) -> bool:
        """Only what is not in use can be resumed."""
        return row.is_open == (name == "pause")

    @admin.display(description="status")
    def state(self, row: D) -> SafeString | str:
        """Whether it is used and works, cut."""
        return clip(diagnose.status(row, timezone.now()))

    @admin.display(description="status")
    def status(self, row: D) -> str:
        """Whether it is used and works, and if not, why."""
        if row.pk is None:
            return "—"
        pauses.annotate([row])
        return diagnose.status(row, timezone.now())

    @admin.display(description="circuit")
    def circuit_story(self, row: D) -> str:
        """What the engine has learned of it."""
        return diagnose.circuit_story(row, timezone.now()) if row.pk else "—"

    @admin.display(description="rate")
    def rate_story(self, row: D) -> str:
        """Its rate limit and that of its backlog."""
        return diagnose.rate_story(row) if row.pk else "—"

    @admin.display(description="waits now")
    def waiting(self, row: D) -> SafeString | str:
        """What waits for it, linked."""
        if row.pk is None or diagnose.circuit_of(row) is None:
            return "—"
        numbers = ",".join(str(pk) for pk in row.channels.values_list("pk", flat=True))
        found = reverse("admin:notifications_delivery_changelist")
        url = f"{found}?channel__in={numbers}&status__in={','.join(Delivery.UNFINISHED)}"
        told = backlog_story(backlog.preview(row))
        return format_html('{} <a href="{}">Its waiting and held deliveries</a>', told, url)

    @admin.display(description="last failure")
    def last_failure(self, row: D) -> SafeString | str:
        """The delivery that failed last, while failures go on."""
        circuit = diagnose.circuit_of(row) if row.pk else None
        found = Delivery.objects.filter(pk=circuit.last_failed) if circuit and circuit.last_failed else None
        last = found.only("uid", "last_error").first() if found else None
        if last is None:
            return "—"
        url = reverse("admin:notifications_delivery_change", args=[last.pk])
        return format_html('<a href="{}">{}</a> {}', url, last.public_id, clip(last.last_error, 200))

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[D]) -> None:
        """Use them no more; what is for them waits."""
        ids = list(queryset.values_list("pk", flat=True))
        paused = switch.pause(self.model, ids, request.user, reason_of(request))
        self.tell(request, f"{self._count(len(paused))} paused.")

    @admin.action(description="Resume…", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[D]) -> HttpResponse | None:
        """Show what waits, and ask how fast it may go."""
        stopped = queryset.exclude(is_active=True, paused_reason="").order_by("pk")
        rows: list[D] = list(stopped[: MOST_AT_ONCE + 1])
        if not rows:
            self.tell(request, f"{self._count(0)} resumed: what is chosen is in use already.")
            return None
        if len(rows) > MOST_AT_ONCE:
            self.tell(request, f"{self._count(0)} resumed.", [f"Choose at most {MOST_AT_ONCE} at once."])
            return None
        return self._resume_page(request, rows, ResumeForm(initial={"reason": reason_of(request)}))

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """The page that resumes: GET shows what waits, POST lets it go."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else request.GET
        ids = [int(pk) for pk in given.getlist("id") if pk.isdecimal()][:MOST_AT_ONCE]
        rows = list(
            self.get_queryset(request)
            .filter(pk__in=ids)
            .exclude(is_active=True, paused_reason="")
            .order_by("pk")
        )
        if not rows:
            self.message_user(
                request, f"{self._count(0)} resumed: none of them is stopped.", messages.WARNING
            )
            return self._back(ids)
        form = ResumeForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._resume_page(request, rows, form)
        per_minute = form.cleaned_data["per_minute"]
        resumed = switch.resume(
            self.model, ids, request.user, per_minute=per_minute, reason=form.cleaned_data["reason"]
        )
        waiting = sum(found.deliveries for _, found in resumed)
        told = f"{self._count(len(resumed))} resumed."
        if waiting:
            told += f" {count(waiting, 'delivery', 'deliveries')} that waited may go now"
            told += f", at {per_minute:,} a minute." if per_minute else ", with a slow start."
        self.tell(request, told)
        return self._back(ids)

    def _resume_page(self, request: HttpRequest, rows: Sequence[D], form: ResumeForm) -> HttpResponse:
        pauses.annotate(rows)
        found = [(row, backlog.preview(row)) for row in rows]
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        noun = self.opts.verbose_name if len(rows) == 1 else self.opts.verbose_name_plural
        context = {
            **self.admin_site.each_context(request),
            "title": f"Resume {noun} {rows[0] if len(rows) == 1 else ''}".strip(),
            "opts": self.opts,
            "list_url": reverse(f"{page}_changelist"),
            "back_url": self._back([row.pk for row in rows]).url,
            "resume_url": reverse(f"{page}_resume"),
            "form": form,
            "rates": [f"{rate:,}" for rate in RATES],
            "rows": [
                {
                    "row": row,
                    "status": diagnose.status(row, timezone.now()),
                    "waiting": waiting,
                    "oldest": utc(waiting.oldest),
                    "spans": [diagnose.span(waiting.minutes(rate)) for rate in RATES],
                }
                for row, waiting in found
            ],
        }
        return TemplateResponse(request, "admin/resume.html", context)

    def _back(self, ids: Sequence[int]) -> HttpResponseRedirect:
        """To the page of the one that was resumed, or to the list."""
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        url = reverse(f"{page}_change", args=ids) if len(ids) == 1 else reverse(f"{page}_changelist")
        return HttpResponseRedirect(url)

    def _count(self, number: int) -> str:
        return count(number, str(self.opts.verbose_name), str(self.opts.verbose_name_plural))


def backlog_story(found: backlog.Backlog) -> str:
    """Return in a sentence what waits."""
    if not found.deliveries:
        return "Nothing."
    lanes = ""
    if found.in_lanes:
        lanes = f", {found.in_lanes:,} of them in {count(found.lanes, 'lane')}"
    return (
        f"{count(found.deliveries, 'delivery', 'deliveries')}{lanes}, the oldest since {utc(found.oldest)}."
    )
