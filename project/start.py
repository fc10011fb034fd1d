"""The start page of the console: what fails now, finding what somebody names, and the first steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from events.models import BillingObject, Event, LedgerEntry
from notifications import passed_over, why
from notifications.first_steps import steps
from notifications.models import Delivery, OptOut, Suppression
from notifications.search import LOOKS_AT, Found, deliveries, search
from notifications.trouble import figures

from .diagnose import lines

# Work that is due for longer than this is worth a line.
LATE = 60.0  # seconds
_DISMISSED = "first-steps"
_A_YEAR = 365 * 24 * 3600
_LONGEST_TERM = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something that fails, where it is seen, and what to do."""

    text: str
    advice: str
    url: str = ""


def context(request: HttpRequest) -> dict[str, Any]:
    """Return what the start page shows this user."""
    shown = list(troubles(request))
    return {
        "troubles": shown,
        "first_steps": first_steps(request),
        "title": "Start",
    }


def troubles(request: HttpRequest) -> Sequence[Line]:
    """Return what fails now, of what this user may see."""
    found = [
        Line(text=each.text, advice=each.advice, url=listing(each.model, each.query))
        for each in figures(lambda model: may(request, "view", model))
    ]
    health = [
        Line(text=f"{each.name.capitalize()}: {each.detail}", advice=each.advice)
        for each in lines(LATE)
        if not each.is_well
    ]
    return [*health, *found]


def first_steps(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the steps while one is to be done, and this user could do one and has not put them away."""
    if request.COOKIES.get(_DISMISSED) == "away":
        return []
    found = list(steps())
    if all(step.is_done for step in found) or not any(may(request, "add", step.model) for step in found):
        return []
    return [
        {
            "step": step,
            "url": ""
            if not may(request, "add" if step.adds else "view", step.model)
            else page(step.model, "add")
            if step.adds and not step.is_done
            else listing(step.model),
        }
        for step in found
    ]


def dismiss(request: HttpRequest) -> HttpResponse:
    """Put the first steps away, for this browser."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    response = HttpResponseRedirect(reverse("admin:index"))
    response.set_cookie(
        _DISMISSED, "away", max_age=_A_YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
    )
    return response


def find(request: HttpRequest) -> HttpResponse:
    """Show what a term stands for; go there at once where it can only be one thing."""
    term = " ".join(request.GET.get("q", "").replace("\0", "").split())[:_LONGEST_TERM]
    given = request.GET.get("before", "")
    before = int(given) if given.isdecimal() and len(given) < 19 else None
    found = search(term, before=before) if term else Found(term="")
    if term.startswith("dlv_") and found.delivery and may(request, "view", Delivery):
        return HttpResponseRedirect(page(Delivery, "change", found.delivery.pk))
    if term.startswith("evt_") and found.events and may(request, "view", Event):
        return HttpResponseRedirect(page(Event, "change", found.events[0].pk))
    allowed = may(request, "view", Event) and may(request, "view", Delivery)
    told = {
        "found": found,
        "stories": stories(found.events) if allowed else [],
        "to_address": [_told(each) for each in found.to_address] if may(request, "view", Delivery) else [],
        "objects": found.objects if may(request, "view", BillingObject) else [],
        "ledger": found.ledger if may(request, "view", LedgerEntry) else [],
        "suppressions": found.suppressions if may(request, "view", Suppression) else [],
        "opt_outs": found.opt_outs if may(request, "view", OptOut) else [],
        "named": [
            {"row": row, "kind": row._meta.verbose_name, "url": page(type(row), "change", row.pk)}
            for row in found.named
            if may(request, "view", type(row))
        ],
    }
    shown = any(told[name] for name in told if name != "found")
    title = f"Found for “{term}”" if term else "Find"
    everything = {
        **admin.site.each_context(request),
        **told,
        "title": title,
        "term": term,
        "shown": shown,
        "accounts": [(each, f"?{urlencode({'q': each})}") for each in (found.accounts if allowed else ())],
        "more_url": f"?{urlencode({'q': term, 'before': found.looks_before})}" if found.looks_before else "",
        "looks_at": f"{LOOKS_AT:,}",
        "all_events": listing(Event, urlencode({"q": term})),
        "all_ledger": listing(LedgerEntry, urlencode({"q": term})),
        "all_deliveries": listing(Delivery, urlencode({"q": term})),
    }
    return TemplateResponse(request, "admin/find.html", everything)


def stories(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return of each event who was told and how that went, and who was not told, and why."""
    by_event: dict[int, list[Delivery]] = {event.pk: [] for event in events}
    for delivery in deliveries(Q(event__in=list(by_event))):
        by_event[delivery.event_id].append(delivery)
    types = {event.type_id: event.type for event in events}
    among = passed_over.candidates(list(types)) if events else []
    routed = passed_over.routes(list(types))
    return [
        {
            "event": event,
            "deliveries": [_told(each) for each in by_event[event.pk]],
            "standing": standing(event),
            "nowhere": passed_over.nowhere(event, routed),
            "passed_over": []
            if standing(event)
            else passed_over.explain(
                event,
                {each.subscription_id for each in by_event[event.pk]},
                [row for row in among if _concerns(row, event)],
                routed,
            ),
        }
        for event in events
    ]


def standing(event: Event) -> str:
    """Return why an event has not been turned into deliveries yet; empty if it has."""
    if hasattr(event, "quarantine"):
        return "It is in quarantine: turning it into deliveries failed."
    if hasattr(event, "inbox_entry"):
        due_at = event.inbox_entry.due_at
        return (
            f"It waits until {due_at:%Y-%m-%d %H:%M:%S} UTC." if due_at else "It is about to be fanned out."
        )
    return ""


def _concerns(row: Any, event: Event) -> bool:
    """Whether one would expect it to be told of such events."""
    chosen = {each.pk for each in row.event_types.all()}
    return event.type_id in chosen or not chosen


def _told(delivery: Delivery) -> dict[str, Any]:
    now = timezone.now()
    return {
        "delivery": delivery,
        "url": page(Delivery, "change", delivery.pk),
        "to": delivery.recipient or str((delivery.channel and delivery.channel.endpoint) or "webhook"),
        "state": why.state(delivery, now),
        "why": why.explain(delivery, now),
    }


def may(request: HttpRequest, verb: str, model: type[Model]) -> bool:
    """Tell whether this user may view or add rows of a model in the console."""
    shown = admin.site._registry.get(model)
    return bool(shown and getattr(shown, f"has_{verb}_permission")(request))


def listing(model: type[Model], query: str = "") -> str:
    """Return the URL of a model's list."""
    url = page(model, "changelist")
    return f"{url}?{query}" if query else url


def page(model: type[Model], which: str, *args: int) -> str:
    """Return the URL of a page of a model; empty where it has none."""
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{which}", args=args)
    except NoReverseMatch:
        return ""
