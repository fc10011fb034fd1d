"""Telling a database that is away from a fault of what was being done."""

from django.db import InterfaceError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout


def is_away(error: BaseException) -> bool:
    """Whether the connection is what failed: all of the transaction can be done again, and nobody is guilty.

    PostgreSQL files a session that it ended for standing still under internal errors.
    """
    return isinstance(error, (OperationalError, InterfaceError)) or isinstance(
        error.__cause__, IdleInTransactionSessionTimeout
    )
