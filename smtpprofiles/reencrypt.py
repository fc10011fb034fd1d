"""Encrypting stored secrets anew with the newest key, so that older keys can be retired."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models

from .encryption import EncryptedTextField

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one encrypted column is."""

    column: str  # as Model.field
    seen: int
    rotated: int
    unreadable: int


def fields() -> Iterator[tuple[type[models.Model], str]]:
    """Yield every encrypted field of the installation."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField):
                yield model, field.name


def reencrypt() -> Iterator[Progress]:
    """Encrypt every secret with the newest key, a batch at a time; yields after each batch.

    What has that key already is left alone, so it may be repeated. What no key opens is counted and kept.
    """
    if not settings.SECRETS_KEYS:
        raise ImproperlyConfigured("SECRETS_KEYS is empty, so there is no key to encrypt with.")
    newest = Fernet(settings.SECRETS_KEYS[0])
    box = MultiFernet([Fernet(key) for key in settings.SECRETS_KEYS])
    for model, name in fields():
        yield from _column(model, name, newest, box)


def _column(model: type[models.Model], name: str, newest: Fernet, box: MultiFernet) -> Iterator[Progress]:
    quote = connection.ops.quote_name
    meta = model._meta
    columns = (meta.pk.column, cast(EncryptedTextField, meta.get_field(name)).column)
    table, pk, column = (quote(each) for each in (meta.db_table, *map(str, columns)))
    last, seen, rotated, unreadable = None, 0, 0, 0
    while True:
        after = f"AND {pk} > %s" if last is not None else ""
        # Names of our own tables, never input.
        query = f"SELECT {pk}, {column} FROM {table} WHERE {column} <> '' {after} ORDER BY {pk} LIMIT {BATCH}"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(query, [last] if last is not None else [])
            rows = cursor.fetchall()
            for key, token in rows:
                if _opens(newest, token):
                    continue
                try:
                    fresh = box.rotate(token).decode()
                except InvalidToken:
                    unreadable += 1
                    continue
                # Unless it was changed meanwhile, which encrypts it with the newest key, too.
                update = f"UPDATE {table} SET {column} = %s WHERE {pk} = %s AND {column} = %s"  # noqa: S608
                cursor.execute(update, [fresh, key, token])
                rotated += cursor.rowcount
        seen += len(rows)
        yield Progress(column=f"{model.__name__}.{name}", seen=seen, rotated=rotated, unreadable=unreadable)
        if len(rows) < BATCH:
            return
        last = rows[-1][0]


def _opens(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token)
    except InvalidToken:
        return False
    return True
