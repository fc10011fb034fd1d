"""Data sources: values of the billing objects that an event leads to by to-one links.

1. The payload comes first, then the object as it was reported: `account.segment` of an event about a service is
   what the payload says, else what the account says that the payload names, else the account above the service.
2. To-many never: a bill run leads to no account, and a list of objects is no value.
3. Contacts never: they are for email only.
4. Objects are as they were when the event was published, never as they are now: every retry and replay says the same.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection

from events.as_published import CONTACTS, MOST_LINKS, OWN, AsPublished, as_published, named
from events.models import BillingObject, EventType

from .match import resolve
from .tokens import CORE, MANY, Offer

# What no event was published of, such as a sample, has the objects as they are. Nearest first; of the objects that
# are as near, the event's own first.
_WALK = """
WITH RECURSIVE way AS (
  SELECT o.kind, o.parent_id, o.state, 0 AS links, s.rank
  FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS s(kind, external_id, rank)
  JOIN events_billingobject o ON o.kind = s.kind AND o.external_id = s.external_id
  UNION ALL
  SELECT o.kind, o.parent_id, o.state, way.links + 1, way.rank
  FROM way JOIN events_billingobject o ON o.id = way.parent_id WHERE way.links < %s
)
SELECT kind, state::text FROM way ORDER BY links, rank
"""


class DataSource:
    """What one event's payload and billing objects say. They are read once, when the payload does not say it."""

    def __init__(self, payload: Mapping[str, Any], resource: str, *, event: UUID | None = None) -> None:
        """`payload` may hold the tokens of the product itself as well; `resource` is what the event is about.

        `event` is the published one. Where there is none, as for a sample, objects are as they are now.
        """
        self._payload = payload
        self._resource = resource
        self._event = event

    def value(self, path: str) -> Any:
        """Return a text, number, truth value or list of those; None where there is none."""
        kind, _, rest = path.partition(".")
        if kind in CONTACTS:
            return None
        found = resolve(self._payload, path)
        if found is None and rest and kind not in OWN:
            found = resolve(self._states.get(kind, {}), rest)
        return found

    def plain(self, path: str) -> Any:
        """Return the value, unless it is a contact's, an object, or a list that holds some."""
        found = self.value(path) if CONTACTS.isdisjoint(path.split(".")) else None
        several = found if isinstance(found, list) else [found]
        return None if any(isinstance(each, dict | list) for each in several) else found

    def why_not(self, path: str) -> str:
        """Return in a sentence why the object behind a path says nothing; empty where it is known."""
        one = self._objects.get(path.partition(".")[0])
        if one is None or one.state is not None:
            return ""
        name = f"{one.kind} {one.external_id}"
        if one.is_forgotten:
            return (
                f"What {name} was when the event was published is no longer known: changes are kept for "
                f"{settings.RETENTION_DAYS} days."
            )
        return (
            f"{name[0].upper()}{name[1:]} had not been reported when the event was published, and what is reported "
            "later is never used."
        )

    @cached_property
    def _states(self) -> dict[str, dict[str, Any]]:
        if not self._objects:
            return _as_they_are(self._named)
        return {kind: each.state for kind, each in self._objects.items() if each.state is not None}

    @cached_property
    def _objects(self) -> dict[str, AsPublished]:
        """The nearest object of each kind."""
        found: dict[str, AsPublished] = {}
        if self._event is not None and self._named:
            for each in as_published(self._event, self._named):
                found.setdefault(each.kind, each)
        return found

    @cached_property
    def _named(self) -> list[tuple[str, str]]:
        return named(self._payload, first=self._resource)


def _as_they_are(starts: list[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    if not starts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_WALK, [[kind for kind, _ in starts], [name for _, name in starts], MOST_LINKS])
        rows = cursor.fetchall()
    states: dict[str, dict[str, Any]] = {}
    for kind, state in rows:
        states.setdefault(kind, json.loads(state, parse_float=Decimal))
    return states


def complete(context: dict[str, Any], names: set[str], source: DataSource) -> dict[str, Any]:
    """Return a context in which these names have the values of billing objects where the payload has none."""
    completed = dict(context)
    for name in names:
        if "." in name and resolve(completed, name) is None and (value := source.value(name)) is not None:
            *parents, last = name.split(".")
            place = completed
            for parent in parents:
                inner = place.get(parent)
                # A copy: the payload itself stays as it was published.
                place[parent] = dict(inner) if isinstance(inner, Mapping) else {}
                place = place[parent]
            place[last] = value
    return completed


def check_path(path: str, offered: Offer) -> None:
    """Raise a ValidationError unless every event type leads to the object that a path begins with."""
    kind, _, field = path.partition(".")
    kinds = kinds_of(offered)
    if not CONTACTS.isdisjoint(path.split(".")) or any(
        path in tokens and tokens[path].email_only for tokens in offered.by_type.values()
    ):
        raise ValidationError(
            f"“{path}” cannot be used here: contacts are for email only, never for webhooks."
        )
    if not offered.event_types:
        raise ValidationError(
            f"“{path}” cannot be used here: no event type is chosen or flows into the queue yet."
        )
    if kind not in kinds:
        if kind in MANY and all(each.resource == "bill_run" for each in offered.event_types):
            reason = f"a bill run covers {MANY[kind]}"
        else:
            reason = "not every chosen event type leads to one such object"
        known = ", ".join(sorted(kinds)) or "none"
        raise ValidationError(f"“{path}” cannot be used here: {reason}. Objects to begin with: {known}.")
    if not field or not all(path.split(".")):
        raise ValidationError(
            f"“{path}” names no field: write the object and its field, such as {kind}.status."
        )


def kinds_of(offered: Offer) -> set[str]:
    """Return the kinds of objects that all of these event types lead to by to-one links."""
    each = [_kinds(event_type, set(offered.by_type[event_type.code])) for event_type in offered.event_types]
    return set.intersection(*each) if each else set()


def _kinds(event_type: EventType, tokens: set[str]) -> set[str]:
    kinds = {name.removesuffix(".id") for name in tokens if name.endswith(".id") and name.count(".") == 1}
    kinds.add(event_type.resource)
    # What an administrator's own objects belong to shows in any of them.
    known = BillingObject.objects.filter(kind=event_type.resource, parent__isnull=False).first()
    while known is not None and known.parent is not None and known.parent.kind not in kinds:
        known = known.parent
        kinds.add(known.kind)
    return kinds - OWN - CONTACTS - {CORE}
