"""Telling the evaluator that objects changed: once a transaction, after its commit.

A lost wake-up costs only time: the inbox holds every change that triggers have not looked at.
"""

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.dispatch import Signal

# Sent by `Change` after the commit, with `count`, the number of changes that transaction wrote.
wake = Signal()


class _Wake:
    def __init__(self, count: int) -> None:
        self.count = count
        # Django names a failed robust callback by it.
        self.__qualname__ = "events.changes.after_commit"

    def __call__(self) -> None:
        # By name: a host project follows its models before ours are loaded.
        wake.send(sender=apps.get_model("events", "Change"), count=self.count)


def after_commit(count: int) -> None:
    """Send `wake` for `count` more changes, once the caller's transaction commits."""
    connection = connections[DEFAULT_DB_ALIAS]
    # One callback per set of savepoints: a rolled back savepoint takes its callback, and its count, with it.
    for savepoints, pending, *_ in reversed(connection.run_on_commit):
        if isinstance(pending, _Wake) and savepoints == set(connection.savepoint_ids):
            pending.count += count
            return
    connection.on_commit(_Wake(count), robust=True)
