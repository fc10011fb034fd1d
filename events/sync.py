"""Copy the catalog from code to rows.

1. What an administrator decides stays: their own event types, their own tokens on built-in types, and
   whether a built-in type is active and how long its events are kept.
2. An event type that a later version no longer ships becomes inactive and the administrator's own: its
   events and subscriptions stay, and its row can be deleted or taken into use again. If an administrator
   already has a type under the code of a new built-in one, theirs stays as it is.
3. Kinds of billing objects are made where they are missing; those that are there stay as they are.
4. Queues are made once, when there is none at all, so that a removed queue does not come back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Model

from . import catalog, kinds
from .models import EventType, Queue, Route, Token
from .triggers import builtins

TYPE_FIELDS = [
    "label",
    "description",
    "resource",
    "operation",
    "category",
    "ordering_prefix",
    "ordering_path",
    "sample",
    "schema",
]
TOKEN_FIELDS = ["group", "kind", "description", "sample", "email_only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """How many event types were created, updated (they or their tokens), left as they were, and retired."""

    created: int
    updated: int
    unchanged: int
    retired: int


@transaction.atomic
def sync(specs: Sequence[catalog.EventTypeSpec] = catalog.SHIPPED) -> SyncReport:
    """Make the rows of built-in event types, and their tokens, equal to the catalog; safe to repeat."""
    # A statement of its own: whoever waited here must see what the one before committed.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('bellwether.sync_catalog'))")
    codes = [spec.code for spec in specs]
    retired = EventType.objects.filter(is_builtin=True).exclude(code__in=codes)
    retired_count = retired.update(is_builtin=False, is_active=False)

    rows = {row.code: row for row in EventType.objects.filter(code__in=codes)}
    new = [_row(spec) for spec in specs if spec.code not in rows]
    builtin = {code: row for code, row in rows.items() if row.is_builtin}
    changed = [
        builtin[spec.code]
        for spec in specs
        if spec.code in builtin and _take(builtin[spec.code], _row(spec), TYPE_FIELDS)
    ]
    EventType.objects.bulk_create(new)
    EventType.objects.bulk_update(changed, TYPE_FIELDS)

    kinds.sync()
    touched = {row.code for row in changed} | _sync_tokens(specs, builtin | {row.code: row for row in new})
    builtins.sync()
    if not Queue.objects.exists():
        _create_queues([*rows.values(), *new])
    created = len(new)
    updated = len(touched - {row.code for row in new})
    return SyncReport(
        created=created, updated=updated, unchanged=len(specs) - created - updated, retired=retired_count
    )


def _row(spec: catalog.EventTypeSpec) -> EventType:
    return EventType(
        code=spec.code,
        label=spec.label,
        description=spec.description,
        resource=spec.resource,
        operation=spec.operation,
        category=spec.category,
        ordering_prefix=spec.ordering_prefix,
        ordering_path=spec.ordering_path,
        sample=catalog.sample(spec),
        schema=catalog.schema(spec),
        is_builtin=True,
    )


def _take(known: Model, wanted: Model, fields: list[str]) -> bool:
    """Copy the fields that differ, and return whether any did."""
    different = [name for name in fields if getattr(known, name) != getattr(wanted, name)]
    for name in different:
        setattr(known, name, getattr(wanted, name))
    return bool(different)


def _sync_tokens(specs: Iterable[catalog.EventTypeSpec], types: dict[str, EventType]) -> set[str]:
    """Create and update tokens; return the codes of the event types that got any."""
    known = {
        (row.event_type_id, row.name): row
        for row in Token.objects.filter(event_type__in=[row.pk for row in types.values()])
    }
    new: list[Token] = []
    changed: list[Token] = []
    touched: set[str] = set()
    for spec in specs:
        if spec.code not in types:
            continue
        for each in spec.tokens:
            row = Token(
                event_type=types[spec.code],
                name=each.name,
                group=each.group,
                kind=each.kind.value,
                description=each.description,
                sample=each.sample,
                email_only=each.email_only,
            )
            before = known.get((row.event_type_id, row.name))
            if before is None:
                new.append(row)
            elif _take(before, row, TOKEN_FIELDS):
                changed.append(before)
            else:
                continue
            touched.add(spec.code)
    Token.objects.bulk_create(new)
    Token.objects.bulk_update(changed, TOKEN_FIELDS)
    return touched


def _create_queues(types: Iterable[EventType]) -> None:
    billing = Queue(
        name="billing", is_ordered=True, description="Everything, in order for each account and bill run."
    )
    bulk = Queue(name="bulk", is_ordered=False, description="In any order, as fast as receivers can take it.")
    Queue.objects.bulk_create([billing, bulk])
    Route.objects.bulk_create([Route(queue=billing, event_type=each) for each in types])
