"""Finding what somebody on the telephone names: an id, an account, an address, an invoice's number, a name.

1. What an index answers is looked up in the whole table: ids, accounts, keys, addresses, objects by their id.
2. A name or number that stands only inside of payloads and reports is looked for in the newest of them, so
   that a search costs the same however much is kept; the answer says how far it looked.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from events import ids
from events.models import BillingObject, Event, LedgerEntry, ObjectKind, Subscriber
from smtpprofiles.models import SmtpProfile

from .models import Delivery, EmailTemplate, Endpoint, OptOut, Subscription, Suppression
from .subjects import secret_fields

MOST = 20
# So many of the newest events and objects are read for a text.
LOOKS_AT = 10_000
SHORTEST = 3
MOST_DELIVERIES = 200
# Configuration, of which there is little: found by a part of its name.
_NAMED: tuple[tuple[Any, str], ...] = (
    (Endpoint, "name"),
    (Subscription, "name"),
    (Subscriber, "name"),
    (SmtpProfile, "name"),
    (EmailTemplate, "name"),
)


@dataclass(slots=True, kw_only=True)
class Found:
    """What was found for a term; lists are cut at `MOST`."""

    term: str
    delivery: Delivery | None = None
    events: list[Event] = field(default_factory=list)
    objects: list[BillingObject] = field(default_factory=list)
    to_address: list[Delivery] = field(default_factory=list)
    suppressions: list[Suppression] = field(default_factory=list)
    opt_outs: list[OptOut] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    named: list[Any] = field(default_factory=list)
    # Whether the term itself is an account or key, which lists find too.
    is_key: bool = False
    # Set where payloads were read: the oldest event that was looked at, if there are older ones.
    looked_back_to: datetime | None = None
    looks_before: int = 0  # where the next look goes on

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        lists: tuple[Sequence[Any], ...] = (
            self.events, self.objects, self.to_address, self.suppressions, self.opt_outs, self.ledger, self.named,
        )  # fmt: skip
        return self.delivery is None and not any(lists)

    @property
    def accounts(self) -> list[str]:
        """The accounts of what was found, to go on with."""
        named = [each.account for each in self.events if each.account]
        named += [each.external_id for each in self.objects if each.kind == "account"]
        return [each for each in dict.fromkeys(named) if each != self.term][:5]


def search(term: str, *, before: int | None = None) -> Found:
    """Return what a term stands for; `before` looks on in events older than that one."""
    found = Found(term=term)
    if term.startswith("dlv_"):
        uid = ids.parse("dlv", term)
        found.delivery = Delivery.objects.filter(uid=uid).only("pk", "uid").first() if uid else None
        return found
    if term.startswith("evt_"):
        uid = ids.parse("evt", term)
        found.events = list(_events().filter(uid=uid)) if uid else []
        return found
    if before is None:
        _exactly(found)
    if not found.events and len(term) >= SHORTEST:
        _inside(found, before)
    kind, colon, number = term.partition(":")
    objects = [(each.kind, each.external_id) for each in found.objects] or ([(kind, number)] if colon else [])
    found.ledger = ledger(term, objects)
    return found


def _exactly(found: Found) -> None:
    term = found.term
    exact = Q(account=term) | Q(ordering_key=term) | Q(idempotency_key=term)
    found.events = list(_events().filter(exact)[:MOST])
    found.is_key = bool(found.events)
    kind, colon, number = term.partition(":")
    kinds = [kind] if colon else list(ObjectKind.objects.values_list("code", flat=True)[:100])
    of_kind = BillingObject.objects.filter(kind__in=kinds, external_id=number if colon else term)
    found.objects = list(of_kind.order_by("kind")[:MOST])
    if "@" in term:
        address = term.lower()
        found.to_address = deliveries(Q(recipient__in={term, address}))[:MOST]
        found.suppressions = list(Suppression.objects.filter(address=address).order_by("-id")[:MOST])
        found.opt_outs = list(OptOut.objects.filter(address=address).select_related("subscription")[:MOST])
    for model, name in _NAMED:
        rows = model._default_manager.filter(**{f"{name}__icontains": term}).defer(*secret_fields(model))
        found.named += list(rows.order_by(name)[:5])


def _inside(found: Found, before: int | None) -> None:
    """Read the newest payloads and reports for the term, as it is and as JSON may escape it."""
    texts = list({found.term.lower(), json.dumps(found.term)[1:-1].lower()})
    matches, oldest = _read("events_event", "data", texts, before)
    found.events = list(_events().filter(pk__in=matches))
    if oldest:
        earliest = Event.objects.filter(pk=oldest).values_list("created_at", flat=True).first()
        found.looked_back_to, found.looks_before = earliest, oldest
    if before is None and not found.objects:
        found_ids, _ = _read("events_billingobject", "state", texts, None)
        found.objects = list(BillingObject.objects.filter(pk__in=found_ids).order_by("-pk"))


def _read(table: str, column: str, texts: Iterable[str], before: int | None) -> tuple[list[int], int]:
    """Return the newest rows that hold one of the texts, and the oldest that was read if there are older ones."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH newest AS MATERIALIZED (
                  SELECT id, {column}::text AS body FROM {table}
                  WHERE %s::bigint IS NULL OR id < %s::bigint ORDER BY id DESC LIMIT %s)
                SELECT ARRAY(SELECT id FROM newest
                             WHERE lower(body) LIKE ANY (SELECT '%%' || t || '%%' FROM unnest(%s::text[]) t)
                             ORDER BY id DESC LIMIT %s),
                       (SELECT min(id) FROM newest), (SELECT count(*) FROM newest)""",  # noqa: S608 - names of ours
            [before, before, LOOKS_AT, [_like(text) for text in texts], MOST],
        )
        matches, oldest, number = cursor.fetchone()
    return matches, oldest if number == LOOKS_AT else 0


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _events() -> QuerySet[Event]:
    related = ("type", "inbox_entry", "quarantine")
    return Event.objects.select_related(*related).order_by("-id")


def deliveries(condition: Q) -> list[Delivery]:
    """Return deliveries, newest first, with what a sentence about each needs."""
    secrets = [
        f"channel__{place}__{name}"
        for place, model in (("endpoint", Endpoint), ("profile", SmtpProfile))
        for name in secret_fields(model)
    ]
    related = (
        "event__type", "subscription__queue", "channel__circuit", "channel__endpoint", "channel__profile",
        "lane__blocked_by",
    )  # fmt: skip
    rows = Delivery.objects.filter(condition).select_related(*related).defer("event__data", *secrets)
    return list(rows.order_by("-id")[:MOST_DELIVERIES])


def ledger(term: str, objects: Iterable[tuple[str, str]]) -> list[LedgerEntry]:
    """Return what triggers made of an account or of objects lately, newest first, each by its index."""
    about = Q(account=term) & ~Q(account="")
    for kind, external_id in objects:
        about |= Q(kind=kind, external_id=external_id)
    return list(LedgerEntry.objects.filter(about).select_related("trigger").order_by("-id")[:MOST])
