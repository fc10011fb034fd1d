"""Pages of what can be paused: its deliveries are made and wait until it is resumed."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from .audit import operator_acted, pauses_asked
from .page import M, Page, count, reason_of


class PausableList(ChangeList):
    """A page of rows that may be paused, with since when, by whom and why."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then ask for all of its rows at once."""
        super().get_results(request)
        rows = list(self.result_list)
        pauses_asked.send(self.model, rows=rows)
        self.result_list = rows


class PausablePage(Page[M]):
    """Pauses and resumes rows by their `is_paused`; who listens to their saving lets go on what waits."""

    actions = ["pause", "resume"]
    buttons = ["pause", "resume"]
    button_help = {
        "pause": "Its deliveries are made and wait, each once its turn comes; none is lost. "
        "It takes hold within some seconds.",
        "resume": "What waits goes on, in order.",
    }

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        """The one that tells of pauses."""
        return PausableList

    def offers(self, name: str, row: Any) -> bool:
        """Pause what goes on, resume what is paused."""
        return bool(row.is_paused) == (name == "resume")

    @admin.display(description="state", ordering="is_paused")
    def state(self, row: Any) -> str:
        """Whether it is paused."""
        if not row.is_paused:
            return "running"
        if not hasattr(row, "pause_note"):
            pauses_asked.send(type(row), rows=[row])
        return (
            f"paused {row.pause_note}" if getattr(row, "pause_note", "") else "paused: what is for it waits"
        )

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[M]) -> None:
        """Let deliveries wait."""
        self.tell(request, f"{self._switch(request, queryset, pauses=True)} paused.")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[M]) -> None:
        """Let what waits go on, in order."""
        told = self._switch(request, queryset, pauses=False)
        self.tell(request, f"{told} resumed; what was held for it goes on within moments.")

    @transaction.atomic
    def _switch(self, request: HttpRequest, queryset: QuerySet[M], *, pauses: bool) -> str:
        """Save the rows that change, have it written down, and return how many they are."""
        # Without what the list counts beside them, which cannot be locked.
        rows = self.model._default_manager.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        chosen: list[Any] = list(rows.filter(is_paused=not pauses).order_by("pk").select_for_update())
        for row in chosen:
            row.is_paused = pauses
            row.save(update_fields=["is_paused"])
        kind = str(self.opts.model_name)
        operator_acted.send(
            self.model,
            actor=request.user,
            action=f"{kind}.{'pause' if pauses else 'resume'}",
            subjects=[f"{kind} {row.pk}" for row in chosen],
            reason=reason_of(request),
        )
        return count(len(chosen), str(self.opts.verbose_name), str(self.opts.verbose_name_plural))
