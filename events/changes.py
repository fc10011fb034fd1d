"""Telling the evaluator that objects changed: once a transaction, after its commit.

A lost wake-up costs only time: the inbox holds every change that triggers have not looked at.
"""

from django.db import DEFAULT_DB_ALIAS, connections
from django.dispatch import Signal

from .models import Change

# Sent by `Change` after the commit, with `count`, the number of changes that transaction wrote.
wake = Signal()


class _Wake:
    def __init__(self, count: int) -> None:
        self.count = count
        # Django names a failed robust callback by it.
        self.__qualname__ = "events.changes.after_commit"

    def __call__(self) -> None:
        wake.send(sender=Change, count=self.count)


def after_commit(count: int, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Send `wake` for `count` more changes, once the caller's transaction commits."""
    connection = connections[using]
    # One callback per set of savepoints: a rolled back savepoint takes its callback, and its count, with it.
    for savepoints, pending, *_ in reversed(connection.run_on_commit):
        if isinstance(pending, _Wake) and savepoints == set(connection.savepoint_ids):
            pending.count += count
            return
    connection.on_commit(_Wake(count), robust=True)
