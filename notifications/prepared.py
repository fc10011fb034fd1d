"""The engine's hot statements, prepared: planning them anew each time costs as much as running them."""

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from django.db import connection


class _Preparing(psycopg.Cursor[Any]):
    """Binds by the server, where Django's own cursors put parameters into the text, and prepares at once."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
        return super().execute(query, params, prepare=True)


def run(statement: LiteralString, parameters: Mapping[str, Any]) -> list[Any]:
    """Execute a statement on Django's connection; return its rows. Errors and wrappers are Django's.

    Cast each parameter in the statement: the server keeps one plan for it only where its types never differ.
    """
    connection.ensure_connection()
    raw = connection.connection
    # Django switches preparing off. Its own cursors never prepare, whatever this says.
    raw.prepare_threshold = 0
    # As connection.cursor() does it, which knows no other kind of cursor.
    make: Any = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with make(_Preparing(raw)) as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def array(values: Iterable[float | bool | None]) -> str:
    """Write numbers as PostgreSQL reads an array: a list would be bound as another type with every size."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"
