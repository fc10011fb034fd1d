"""Give a new installation its administrator and its first API key."""

import json
import secrets
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection, transaction

from events.keys import create_key
from events.models import EventType, Grant, Queue, Scope, Subscriber

_SUBSCRIBER = "Billing system"
_EXAMPLE = "invoice.posted"


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """What is shown once, and stored nowhere as text."""

    username: str
    password: str
    api_key: str


@transaction.atomic
def welcome() -> Welcome | None:
    """Create an administrator and an API key for everything; None if there is an administrator."""
    with connection.cursor() as cursor:  # Two first starts at once make one administrator.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('bellwether.first_start'))")
    users = User.objects
    if users.filter(is_superuser=True).exists():
        return None
    username = "admin"
    while users.filter(username=username).exists():
        username = f"admin-{secrets.token_hex(2)}"
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=username, email="", password=password)
    subscriber, _ = Subscriber.objects.get_or_create(name=_SUBSCRIBER)
    for queue in Queue.objects.all():
        granted = {"can_create": True, "can_update": True, "can_delete": True}
        Grant.objects.get_or_create(subscriber=subscriber, queue=queue, defaults=granted)
    _, api_key = create_key(subscriber=subscriber, name="First key", scopes=Scope.values)
    return Welcome(username=username, password=password, api_key=api_key)


def curl(base_url: str, api_key: str) -> str:
    """Return a command, ready to paste, that publishes the catalog's sample of a posted invoice."""
    sample = EventType.objects.get(code=_EXAMPLE).sample
    body = json.dumps({"type": _EXAMPLE, "data": sample}).replace("'", "'\\''")
    return (
        f"curl -X POST {base_url}/api/v1/events/ -H 'Authorization: Bearer {api_key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
