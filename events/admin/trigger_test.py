"""The page that tries a trigger on stored history."""

from datetime import datetime
from typing import Any

import msgspec
from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django_q.tasks import async_task

from events.models import BackTest, EventType, Trigger
from events.signals import specimens_asked
from events.triggers import back_test
from events.triggers.rules import of
from events.triggers.summary import sentence

from .audit import operator_acted
from .page import count, utc

Source = Trigger.Source
# What a back-test goes through, by what starts the rule.
LOOKS_AT = {
    Source.CHANGE: "stored change",
    Source.THRESHOLD: "stored change",
    Source.DATE: "object",
    Source.COMMITMENT: "object",
    Source.SCHEDULE: "stored event",
    Source.EVENT: "stored event",
    Source.INACTIVITY: "object",
}

# Most histories are short: their answer is there at once.
AT_ONCE = 2.0  # seconds
TASK = "events.triggers.tasks.run_back_test"


class BackTestForm(forms.Form):
    """Over how many days."""

    days = forms.IntegerField(
        label="Days",
        min_value=1,
        max_value=400,
        initial=30,
        help_text="So many days of stored reports, up to now.",
    )


def begin(trigger: Trigger, days: int, user: Any) -> BackTest:
    """Try a rule: at once if that takes two seconds at most, else in the background."""
    test = back_test.start(trigger, days, user)
    if not back_test.carry_out(test.pk, seconds=AT_ONCE):
        async_task(TASK, test.pk)
    test.refresh_from_db()
    return test


def back_test_view(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the form and the last result, POST starts or cancels one."""
    if not request.user.has_perm("events.view_trigger"):
        raise PermissionDenied
    back_test.end_interrupted()
    trigger = get_object_or_404(
        Trigger.objects.select_related("event_type", "anchor", "recovery_type"), pk=pk
    )
    here = reverse("admin:events_trigger_back_test", args=[pk])
    last = trigger.back_tests.first()
    form = BackTestForm(request.POST if request.method == "POST" and "cancel" not in request.POST else None)
    if request.method == "POST":
        if not request.user.has_perm("events.change_trigger"):
            raise PermissionDenied
        if "cancel" in request.POST and last is not None:
            back_test.cancel(last)
            return HttpResponseRedirect(here)
        if form.is_valid():
            _note(request, trigger, form.cleaned_data["days"])
            begin(trigger, form.cleaned_data["days"], request.user)
            return HttpResponseRedirect(here)
    is_running = last is not None and last.status == BackTest.Status.RUNNING
    context = {
        **admin.site.each_context(request),
        "title": f"Back-test: {trigger}",
        "opts": Trigger._meta,
        "trigger": trigger,
        "sentence": sentence(of(trigger)),
        "form": form,
        "test": last,
        "is_running": is_running,
        "may_change": request.user.has_perm("events.change_trigger"),
        "looked_at": count(last.looked_at, LOOKS_AT[Source(trigger.source)]) if last else "",
        "percent": min(99, last.looked_at * 100 // last.total) if last and last.total else 0,
        "seen": utc(last.seen_at) if last else "",
        "examples": [
            {
                **each,
                "at": utc(datetime.fromisoformat(each["at"])),
                "text": _as_published(each["data"]),
                "received": _received(trigger, each),
            }
            for each in (last.result.get("examples", []) if last else [])
        ],
        "notes": last.result.get("notes", []) if last else [],
        "trigger_url": reverse("admin:events_trigger_change", args=[pk]),
        "list_url": reverse("admin:events_trigger_changelist"),
    }
    response = TemplateResponse(request, "admin/back_test.html", context)
    if is_running:
        response.headers["Refresh"] = "2"
    return response


def _as_published(data: dict[str, Any]) -> str:
    """Write a payload as publishing would, amounts to the last digit, indented to be read."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()


def _received(trigger: Trigger, example: dict[str, Any]) -> list[dict[str, str]]:
    """Return what each subscription would send."""
    at = datetime.fromisoformat(example["at"])
    answers: list[tuple[Any, Any]] = specimens_asked.send(
        EventType, event_type=trigger.event_type, data=example["data"], at=at
    )
    return [each for _, found in answers for each in found]


def _note(request: HttpRequest, trigger: Trigger, days: int) -> None:
    operator_acted.send(
        Trigger, actor=request.user, action="trigger.back_test", subjects=[f"trigger {trigger.pk}"],
        reason=f"{days} days",
    )  # fmt: skip
