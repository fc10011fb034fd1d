"""Writing down who did what, when and why."""

from collections.abc import Iterable, Sequence

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from events.models import ApiKey

from . import origin
from . import subjects as known
from .models import AuditEntry

Actor = AbstractBaseUser | AnonymousUser | ApiKey


def record(
    actor: Actor,
    action: str,
    subjects: Iterable[str],
    reason: str = "",
    changes: Sequence[Sequence[str]] = (),
) -> None:
    """Keep one entry a subject, in the caller's transaction. `action` is noun.verb, as in delivery.retry.

    Of an edit, `changes` are its fields with what they were and are; no secret is among them.
    """
    is_person = isinstance(actor, AbstractBaseUser)
    done_to = list(subjects)
    names = known.names(done_to)
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(
                actor_id=actor.pk if is_person else None,
                actor_name=name_of(actor),
                action=action,
                subject=subject[:200],
                name=names.get(subject, "")[:200],
                reason=reason,
                changes=[list(change) for change in changes],
                origin=origin.current()[:100],
            )
            for subject in done_to
        ]
    )


def name_of(actor: Actor) -> str:
    """Return what records call an actor."""
    return (f"API key {actor.prefix}" if isinstance(actor, ApiKey) else str(actor))[:150]
