"""Who may create, update and delete entries on which queue."""

from collections.abc import Collection
from typing import Literal

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from . import catalog_cache
from .authentication import may_create_on
from .draft import Draft, event_type, targets
from .models import ApiKey, Event, Grant, Queue
from .refusals import MissingGrant

Caller = ApiKey | AbstractBaseUser | AnonymousUser


def check_create(draft: Draft, caller: Caller) -> None:
    """Raise MissingGrant unless the caller may create on the named queue, else on every routed one.

    A key's subscriber holds grants; of people, only superusers publish. An event type that flows into
    no queue needs no grant.
    """
    queues = targets(event_type(draft.type), draft.queue)
    if isinstance(caller, ApiKey):
        granted = may_create_on(caller)
        missing = [queue.name for queue in queues if queue.id not in granted]
    else:
        missing = [] if getattr(caller, "is_superuser", False) else [queue.name for queue in queues]
    if missing:
        narrow = "" if draft.queue is not None else " or name one queue that is granted in queue"
        raise MissingGrant(
            f"{draft.type} goes to {', '.join(missing)}, where this caller has no create grant. "
            f"Have it granted{narrow}.",
            field="/queue",
        )


def affected_queues(event: Event) -> set[int]:
    """Return the primary keys of the queues that an event goes to."""
    if event.queue_id is not None:
        return {event.queue_id}
    return {target.id for target in catalog_cache.get(event.type_id).queues}


def check_change(
    event: Event, verb: Literal["update", "delete"], caller: Caller, queues: Collection[int]
) -> None:
    """Raise MissingGrant unless the caller may do this to the event on each of these queues.

    Entries of another publisher need a grant that says so. Of people, only superusers may.
    """
    if not isinstance(caller, ApiKey):
        if not getattr(caller, "is_superuser", False):
            raise MissingGrant(f"Only a superuser or an API key with the grant {verb} may do this.", field="")
        return
    grants = Grant.objects.filter(subscriber=caller.subscriber_id, queue__in=queues, **{f"can_{verb}": True})
    is_own = event.publisher_id == caller.subscriber_id
    if not is_own:
        grants = grants.filter(others_entries=True)
    missing = set(queues) - set(grants.values_list("queue_id", flat=True))
    # Where no queue is concerned, no grant can allow another's event.
    if missing or not (is_own or queues):
        names = sorted(Queue.objects.filter(pk__in=missing).values_list("name", flat=True))
        others = (
            "" if is_own else ", which others' entries would have to be part of: another published this one"
        )
        raise MissingGrant(
            f"This caller has no {verb} grant on {', '.join(names) or 'any of its queues'}{others}. Have it granted.",
            field="",
        )
