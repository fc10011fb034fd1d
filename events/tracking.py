"""Following the models of a host project: each save and delete writes one change, in the host's transaction.

1. One INSERT, in a savepoint, without a look at any row of ours: `events.fold` compares it with the object
   afterwards. A rollback of the host takes the change with it.
2. Nothing is raised into the host: a change that could not be written is logged and counted. What sends no
   signals (bulk_create, update(), raw SQL) is told by `track_bulk`, which does raise.
3. A model in another database than ours is written down once its transaction has committed.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal, LiteralString

import structlog
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models.signals import class_prepared, post_delete, post_save

from . import changes, exact, prepared
from .host_rows import Read, Tracked, steps, tracked

log = structlog.get_logger(__name__)

CHUNK = 1000

_INSERT: LiteralString = """
INSERT INTO events_change (kind, external_id, operation, after, is_partial, source, occurred_at, reported_at)
VALUES (%s::text, %s::text, %s::text, %s::jsonb, %s::bool, 'signal', clock_timestamp(), clock_timestamp())
"""
_INSERT_MANY: LiteralString = """
INSERT INTO events_change (kind, external_id, operation, after, is_partial, source, occurred_at, reported_at)
SELECT kind, external_id, %s::text, after, is_partial, 'bulk', clock_timestamp(), clock_timestamp()
FROM jsonb_to_recordset(%s::jsonb) AS given (
    position int, kind text, external_id text, after jsonb, is_partial bool
)
ORDER BY position
"""

_by_model: defaultdict[type[models.Model], list[Tracked]] = defaultdict(list)
# What was named as app.Model and has not been found so far; a system check reports what stays.
awaited: dict[str, str] = {}
_counting = threading.Lock()
_failures = 0


class NotTracked(LookupError):  # noqa: N818 - named for the fact
    """No `events.track` was called for the model."""


def track(
    model: type[models.Model] | str,
    *,
    as_: str,
    fields: Sequence[str] | Mapping[str, str | Read],
    id_field: str = "pk",
    parents: Mapping[str, str | Read] | None = None,
) -> None:
    """Report each create, update and delete of a model's instances as those of a billing object.

    `model` is a class or "app.Model", of any app. `as_` is the kind; `fields` names the fields (or maps members
    of the state, with dots into objects, to fields or functions of the instance); `id_field` holds the id;
    `parents` maps kinds to the field with their id: {"account": "customer"}. Call it from AppConfig.ready().
    """
    say = {"kind": as_, "fields": fields, "id_field": id_field, "parents": parents or {}}
    if isinstance(model, str):
        label, _, name = model.partition(".")
        awaited[model] = as_
        apps.lazy_model_operation(partial(_found, model, say), (label, name.lower()))
    else:
        _register(model, say)


def track_bulk(
    instances: Iterable[models.Model], *, operation: Literal["create", "update", "delete"] = "update"
) -> int:
    """Report instances that were changed without signals, and return how many changes were written.

    Give the instances, or a queryset that reads them as they are now, in the transaction of the change: after a
    bulk_create or an update(), before a delete. Raises NotTracked, and what the database raises, from a savepoint.
    """
    rows = iter(instances.iterator(chunk_size=CHUNK) if isinstance(instances, models.QuerySet) else instances)
    written = 0
    with transaction.atomic():
        while chunk := list(islice(rows, CHUNK)):
            listed = [row for instance in chunk for row in _rows(instance, operation)]
            numbered = [{"position": position, **row} for position, row in enumerate(listed)]
            prepared.run(_INSERT_MANY, [operation, exact.dumps(numbered)])
            written += len(listed)
        if written:
            changes.after_commit(written)
    return written


def tracked_models() -> list[Tracked]:
    """Return everything that is followed, in the order of its registration."""
    return [each for found in _by_model.values() for each in found]


def failures() -> int:
    """Return how many changes this process could not write since it started; each is in the log."""
    return _failures


def _found(awaited_as: str, say: dict[str, Any], model: type[models.Model]) -> None:
    awaited.pop(awaited_as, None)
    _register(model, say)


def _register(model: type[models.Model], say: dict[str, Any]) -> None:
    found = tracked(model, **say)
    _by_model[model] = [each for each in _by_model[model] if each.kind != found.kind] + [found]
    for sender in steps(model):
        _connect(sender)


def _connect(sender: type[models.Model]) -> None:
    # For each model by itself: a receiver of all senders would slow every delete of the host's other models.
    uid = f"events.tracking.{sender._meta.label}"
    post_save.connect(_saved, sender=sender, dispatch_uid=uid)
    post_delete.connect(_deleted, sender=sender, dispatch_uid=uid)


def _prepared(sender: type[models.Model], **_: Any) -> None:
    if any(issubclass(sender, model) for model in _by_model):
        _connect(sender)


class_prepared.connect(_prepared, dispatch_uid="events.tracking")


def _of(model: type[models.Model]) -> list[Tracked]:
    return [each for base in model.__mro__ if base in _by_model for each in _by_model[base]]


def _saved(
    sender: type[models.Model], instance: models.Model, created: bool, using: str, **signal: Any
) -> None:
    if signal["raw"]:  # a fixture: its rows may not fit each other yet, and nobody has acted
        return
    saved = None if created else signal["update_fields"]
    for each in _of(sender):
        _quietly(each, using, partial(_saved_row, each, instance, using, saved, created))


def _deleted(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    for each in _of(sender):
        _quietly(each, using, partial(_deleted_row, each, instance))


def _saved_row(
    each: Tracked, instance: models.Model, using: str, saved: Collection[str] | None, created: bool
) -> list[str | None]:
    """Return what is to be written; nothing if none of the saved fields is followed."""
    state, is_partial = each.state(instance, saved=saved, using=using)
    if is_partial and not state:
        return []
    operation = "create" if created else "update"
    flag = "true" if is_partial else "false"
    return [each.kind, each.external_id(instance), operation, exact.dumps(state), flag]


def _deleted_row(each: Tracked, instance: models.Model) -> list[str | None]:
    return [each.kind, each.external_id(instance), "delete", None, "false"]


def _quietly(each: Tracked, using: str, make: Callable[[], list[str | None]]) -> None:
    """Write the row; whatever goes wrong is logged and counted, and nothing of it reaches the host."""
    global _failures  # noqa: PLW0603
    try:
        # The savepoint holds what reading the instance may ask of the database, too.
        with transaction.atomic(using=using):
            row = make()
            if row and using == DEFAULT_DB_ALIAS:
                prepared.run(_INSERT, row)
        if row and using == DEFAULT_DB_ALIAS:
            changes.after_commit(1)
        elif row:
            transaction.on_commit(partial(_quietly, each, DEFAULT_DB_ALIAS, partial(list, row)), using)
    except Exception:
        with _counting:
            _failures += 1
        log.exception(
            "change of a host's object not written",
            model=each.model._meta.label,
            kind=each.kind,
            failures=_failures,
        )


def _rows(instance: models.Model, operation: str) -> list[dict[str, Any]]:
    found = _of(type(instance))
    if not found:
        label = type(instance)._meta.label
        raise NotTracked(f"{label} is not followed; call events.track({label!r}, as_=…, fields=…) first.")
    rows = []
    for each in found:
        state, is_partial = (None, False) if operation == "delete" else each.state(instance)
        rows.append(
            {
                "kind": each.kind,
                "external_id": each.external_id(instance),
                "after": state,
                "is_partial": is_partial,
            }
        )
    return rows
