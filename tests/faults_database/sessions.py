"""Several database sessions in one thread, so that a test alone decides how their steps interleave."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper


@contextmanager
def opened(count: int) -> Iterator[list[BaseDatabaseWrapper]]:
    """Open so many more connections to the test's database."""
    made = [connections.create_connection(DEFAULT_DB_ALIAS) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.close()


@contextmanager
def speaking(session: BaseDatabaseWrapper) -> Iterator[None]:
    """Let everything that the thread does go through this connection."""
    usual = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = session
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = usual
