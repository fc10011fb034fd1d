"""Telling of rows after their commit: once a transaction, with how many it wrote."""

from collections.abc import Callable

from django.db import DEFAULT_DB_ALIAS, connections


class _Wake:
    def __init__(self, tell: Callable[[int], None], count: int) -> None:
        self.tell = tell
        self.count = count
        # Django names a failed robust callback by it.
        self.__qualname__ = f"{tell.__module__}.{tell.__qualname__}"

    def __call__(self) -> None:
        self.tell(self.count)


def add(tell: Callable[[int], None], count: int) -> None:
    """Call `tell`, a module's own function, for `count` more rows once the caller's transaction commits."""
    connection = connections[DEFAULT_DB_ALIAS]
    # One callback per set of savepoints: a rolled back savepoint takes its callback, and its count, with it.
    for savepoints, pending, *_ in reversed(connection.run_on_commit):
        if (
            isinstance(pending, _Wake)
            and pending.tell is tell
            and savepoints == set(connection.savepoint_ids)
        ):
            pending.count += count
            return
    connection.on_commit(_Wake(tell, count), robust=True)
