"""Telling the fan-out that there is work: once a transaction, after its commit."""

from django.db import DEFAULT_DB_ALIAS, connections

from .models import Event
from .signals import event_published


class _Wake:
    def __init__(self, count: int) -> None:
        self.count = count
        # Django names a failed robust callback by it.
        self.__qualname__ = "events.wake.after_commit"

    def __call__(self) -> None:
        event_published.send(sender=Event, count=self.count)


def after_commit(count: int) -> None:
    """Send `event_published` for `count` more events, once the caller's transaction commits."""
    connection = connections[DEFAULT_DB_ALIAS]
    # One callback per set of savepoints: a rolled back savepoint takes its callback, and its count, with it.
    for savepoints, pending, *_ in reversed(connection.run_on_commit):
        if isinstance(pending, _Wake) and savepoints == set(connection.savepoint_ids):
            pending.count += count
            return
    connection.on_commit(_Wake(count), robust=True)
