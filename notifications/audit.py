"""Writing down who did what, when and why."""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from events.models import ApiKey

from .models import AuditEntry

Actor = AbstractBaseUser | AnonymousUser | ApiKey


def record(actor: Actor, action: str, subjects: Iterable[str], reason: str = "") -> None:
    """Keep one entry a subject, in the caller's transaction. `action` is noun.verb, as in delivery.retry."""
    is_person = isinstance(actor, AbstractBaseUser)
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(
                actor_id=actor.pk if is_person else None,
                actor_name=name_of(actor),
                action=action,
                subject=subject[:200],
                reason=reason,
            )
            for subject in subjects
        ]
    )


def name_of(actor: Actor) -> str:
    """Return what records call an actor."""
    return (f"API key {actor.prefix}" if isinstance(actor, ApiKey) else str(actor))[:150]
