"""Copies of the bench's database: side by side, or one after another without what a round left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from notifications import nudge

_ALIAS = "default"


@contextmanager
def copied(name: str) -> Iterator[BaseDatabaseWrapper]:
    """Copy the database as it is; yield a connection to the copy, to be used `within`.

    Nobody may be connected to the original while it is copied.
    """
    original = connections[_ALIAS]
    original.close()
    # The thread that announces what is published keeps a connection of its own for half a minute.
    nudge.end()
    copy = original.copy(_ALIAS)
    copy.settings_dict["NAME"] = f"{original.settings_dict['NAME']}_{name}"
    with _maintenance(original) as cursor:
        cursor.execute(
            f'CREATE DATABASE "{copy.settings_dict["NAME"]}" TEMPLATE "{original.settings_dict["NAME"]}"'
        )
    try:
        yield copy
    finally:
        copy.close()
        with _maintenance(original) as cursor:
            cursor.execute(f'DROP DATABASE "{copy.settings_dict["NAME"]}" WITH (FORCE)')


@contextmanager
def within(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let everything in the block that asks Django for its database use this connection."""
    before = connections[_ALIAS]
    connections[_ALIAS] = connection
    try:
        yield
    finally:
        connections[_ALIAS] = before


def url(connection: BaseDatabaseWrapper, **options: str) -> str:
    """Return the DATABASE_URL by which a process reaches the same database."""
    entry = connection.settings_dict
    host, port = entry["HOST"], f":{entry['PORT']}" if entry["PORT"] else ""
    place = f"/{quote(host)}" if host.startswith("/") else f"{host}{port}"
    query = "&".join(f"{name}={quote(value)}" for name, value in {**entry["OPTIONS"], **options}.items())
    credentials = f"{quote(entry['USER'])}:{quote(entry['PASSWORD'])}"
    return f"postgresql://{credentials}@{place}/{entry['NAME']}" + (f"?{query}" if query else "")


@contextmanager
def _maintenance(original: BaseDatabaseWrapper) -> Iterator[CursorWrapper]:
    """A cursor that is connected to neither of them."""
    elsewhere = original.copy(_ALIAS)
    elsewhere.settings_dict["NAME"] = "postgres"
    try:
        with elsewhere.cursor() as cursor:
            yield cursor
    finally:
        elsewhere.close()
