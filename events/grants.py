"""Who may create entries on which queue."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from .authentication import may_create_on
from .draft import Draft, event_type, targets
from .models import ApiKey
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
