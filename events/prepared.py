"""Hot statements, prepared: planning them anew each time costs as much as running them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.types.datetime import TimestamptzLoader


class _MomentLoader(TimestamptzLoader):
    """Reads a time as ISO 8601 where it is one in UTC, in a fifteenth of the time that the driver takes."""

    def load(self, data: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(bytes(data).decode())
        except ValueError:  # another DateStyle, or a year that ISO 8601 has not
            return super().load(data)
        return moment if moment.tzinfo is UTC else super().load(data)


class _Preparing(psycopg.Cursor[Any]):
    """Binds by the server, where Django's own cursors put parameters into the text, and prepares at once."""

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self.adapters.register_loader("timestamptz", _MomentLoader)

    def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
        return super().execute(query, params, prepare=True)

    def _convert_query(self, query: Any, params: Any = None) -> Any:
        # Django's log of queries reads the text from here.
        self._query = super()._convert_query(query, params)
        return self._query


def run(statement: LiteralString, parameters: Mapping[str, Any] | Sequence[str | None]) -> list[Any]:
    """Execute a statement on Django's connection; return its rows. Errors and wrappers are Django's.

    Cast each parameter in the statement: the server keeps one plan for it only where its types never differ.
    A small int is bound as another type than a large one, and None as another than a datetime; a text never is.
    """
    # Not `django.db.connection`: each use of that proxy costs as much as a short query's parameters.
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    raw = connection.connection
    # As connection.cursor() does it, which knows no other kind of cursor.
    make: Any = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    # Django switches preparing off; left on, the driver would keep the texts of Django's own statements too.
    raw.prepare_threshold = 0
    try:
        with make(_Preparing(raw)) as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        raw.prepare_threshold = None


def compact(statement: LiteralString) -> LiteralString:
    """Return a statement without indentation and comments: the driver remembers 4,096 characters at most."""
    lines = (line.strip() for line in statement.splitlines())
    return "\n".join(line for line in lines if not line.startswith("--"))


def array(values: Iterable[float | str | None]) -> str:
    """Write an array as PostgreSQL reads it from text.

    A list would be bound as another type with every size of its numbers, and the driver takes ten times
    as long over its elements.
    """
    return f"{{{','.join([_element(value) for value in values])}}}"


def _element(value: float | str | None) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return str(value)
    if not value:
        return '""'
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'
