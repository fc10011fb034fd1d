"""A worker that stands still keeps nobody from what it has locked: the database ends its transaction.

Its host may be suspended, or out of reach. Another worker takes over its leases as they run out, but a row that is
locked would stay so for as long as the connection does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.backends.signals import connection_created

FROZEN_AFTER = 10  # seconds in a transaction without a statement


@contextmanager
def ends_when_still() -> Iterator[None]:
    """While inside, it holds for the connections of all threads; this thread's is opened anew and ends with it."""

    # A function of its own: another worker of this process may go on for longer.
    def limit(*, connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{FROZEN_AFTER}s'")

    connection_created.connect(limit, weak=False)
    connection.close()  # the next one has the limit
    try:
        yield
    finally:
        connection_created.disconnect(limit)
        connection.close()
