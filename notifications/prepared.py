"""The engine's hot statements, prepared: planning them anew each time costs as much as running them."""

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from django.db import connection


def run(statement: LiteralString, parameters: Mapping[str, Any]) -> list[Any]:
    """Execute a statement on Django's connection with parameters bound by the server; return its rows.

    Errors are Django's, as from a cursor of its own. Cast each parameter in the statement: the server keeps
    one plan for it only where its types never differ.
    """
    connection.ensure_connection()
    raw = connection.connection
    # Django switches preparing off. Its own cursors never prepare, whatever this says.
    raw.prepare_threshold = 0
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.execute(statement, parameters, prepare=True)
        return cursor.fetchall()


def array(values: Iterable[float | bool | None]) -> str:
    """Write numbers as PostgreSQL reads an array: a list would be bound as another type with every size."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"
