"""Counting what fails now: each figure from an index, and none counted beyond a thousand."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from events.models import LedgerEntry, QuarantinedEvent, Queue, TriggerDay
from smtpprofiles.models import SmtpProfile

from .models import Delivery, Endpoint, Subscription, Suppression
from .models.delivery import FOR_A_PERSON

LIMIT = 1_000
LATELY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One kind of trouble: how much of it there is, and where its rows are listed."""

    model: Any  # whose list shows them; who may not see that is not told
    number: int
    singular: str  # as in "1 endpoint fails"
    plural: str
    query: str  # of the list
    advice: str

    @property
    def text(self) -> str:
        """Return it in words: "3 endpoints fail"."""
        told = f"{LIMIT:,}+" if self.number > LIMIT else f"{self.number:,}"
        return f"{told} {self.singular if self.number == 1 else self.plural}"


_Look = Callable[[], int]
_FAULTY = LedgerEntry.Outcome.FAULTY


def _among_newest(rows: QuerySet[Any], recent: Callable[[Any], bool], column: str) -> int:
    """Count the recent ones of the newest rows: what ended lately is among them, whatever lies behind."""
    return sum(
        1 for moment in rows.order_by("-pk").values_list(column, flat=True)[: LIMIT + 1] if recent(moment)
    )


def _capped(rows: QuerySet[Any]) -> int:
    return rows.order_by().values("pk")[: LIMIT + 1].count()


def figures(may_see: Callable[[Any], bool]) -> Iterable[Figure]:
    """Give each kind of trouble that there is and that may be seen, the worst first."""
    since = timezone.now() - LATELY

    def recent(moment: Any) -> bool:
        return moment is not None and moment >= since

    dead = Delivery.objects.filter(status=Delivery.Status.DEAD)
    held = Delivery.objects.filter(FOR_A_PERSON)
    faulty = TriggerDay.objects.filter(outcome=_FAULTY, day__gte=since.date()).order_by()
    in_use = Q(is_active=True, paused_reason="")
    failing = {"circuit__opened_at__isnull": False}
    looks: list[tuple[Any, _Look, str, str, str, str]] = [
        (
            Endpoint,
            lambda: _capped(Endpoint.objects.filter(in_use, **failing)),
            "endpoint fails",
            "endpoints fail",
            "status=failing",
            "Probed by itself; its page tells the last error and what would mend it.",
        ),
        (
            SmtpProfile,
            lambda: _capped(SmtpProfile.objects.filter(in_use, **failing)),
            "SMTP profile fails",
            "SMTP profiles fail",
            "status=failing",
            "Test it: each step tells what its server says.",
        ),
        (
            Delivery,
            lambda: _capped(held),
            "delivery waits for a person",
            "deliveries wait for a person",
            "status=person",
            "Retry it once the cause is mended, skip it, or cancel it; its lane waits meanwhile.",
        ),
        (
            Delivery,
            lambda: _among_newest(dead, recent, "settled_at"),
            "delivery was given up in the last day",
            "deliveries were given up in the last day",
            "status=dead",
            "Nothing sends it again, unless somebody presses Retry.",
        ),
        (
            QuarantinedEvent,
            lambda: _capped(QuarantinedEvent.objects.all()),
            "event in quarantine",
            "events in quarantine",
            "",
            "It could not be turned into deliveries; release it once the error is mended.",
        ),
        (
            LedgerEntry,
            lambda: min(faulty.aggregate(total=Sum("count"))["total"] or 0, LIMIT + 1),
            "evaluation of a trigger failed since yesterday",
            "evaluations of triggers failed since yesterday",
            f"outcome__exact={_FAULTY.value}",
            "Its rule meets something that it cannot work with; the entry says what.",
        ),
        (
            Endpoint,
            lambda: _capped(Endpoint.objects.exclude(in_use)),
            "endpoint is paused",
            "endpoints are paused",
            "status=paused",
            "What is for it waits until somebody resumes it.",
        ),
        (
            SmtpProfile,
            lambda: _capped(SmtpProfile.objects.exclude(in_use)),
            "SMTP profile is paused",
            "SMTP profiles are paused",
            "status=paused",
            "Its mail waits, or leaves by its fallback.",
        ),
        (
            Queue,
            lambda: _capped(Queue.objects.filter(is_paused=True)),
            "queue is paused",
            "queues are paused",
            "is_paused__exact=1",
            "What flows into it waits; none of it is lost.",
        ),
        (
            Subscription,
            lambda: _capped(Subscription.objects.filter(is_paused=True, is_active=True)),
            "subscription is paused",
            "subscriptions are paused",
            "is_paused__exact=1",
            "Its deliveries are made and wait.",
        ),
        (
            Suppression,
            lambda: _among_newest(Suppression.objects.filter(released_at=None), recent, "created_at"),
            "address was suppressed in the last day",
            "addresses were suppressed in the last day",
            "",
            "It bounced, or its owner complained: it gets no more mail until it is released.",
        ),
    ]
    for model, look, singular, plural, query, advice in looks:
        if may_see(model) and (number := look()):
            yield Figure(
                model=model, number=number, singular=singular, plural=plural, query=query, advice=advice
            )
