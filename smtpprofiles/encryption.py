"""Secrets at rest: a text field whose column holds a Fernet token, never the text.

It fails closed. A token that no key of SECRETS_KEYS opens raises SecretUnreadable; neither the token
nor an empty text is ever handed out in its place.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class SecretUnreadable(Exception):  # noqa: N818 - named for the fact
    """A stored secret cannot be decrypted with the keys of this installation."""


class Unopened:
    """What stands in the place of a secret that was not decrypted. It has no text, and cannot be stored."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<a secret, not opened>"


_opens: ContextVar[bool] = ContextVar("opens", default=True)


@contextmanager
def unopened() -> Iterator[None]:
    """Read rows without opening their secrets: to delete some, nobody needs to know them."""
    token = _opens.set(False)
    try:
        yield
    finally:
        _opens.reset(token)


@lru_cache(maxsize=8)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("SECRETS_KEYS is empty, so secrets can be neither stored nor read.")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        # The message of the original error is left out: it might show a key.
        raise ImproperlyConfigured(
            "SECRETS_KEYS holds something that is not a Fernet key (32 bytes in URL-safe base64)."
        ) from None


def _current_box() -> MultiFernet:
    keys: Sequence[str] = settings.SECRETS_KEYS
    return _box(tuple(keys))


def encrypt(text: str) -> str:
    """The token for a text, made with the newest key; '' stays ''."""
    return _current_box().encrypt(text.encode()).decode() if text else ""


def decrypt(token: str, *, owner: str) -> str:
    """The text of a token; `owner` (Model.field) names it in SecretUnreadable."""
    if not token:
        return ""
    try:
        return _current_box().decrypt(token).decode()
    except InvalidToken:
        raise SecretUnreadable(
            f"{owner} was stored with a key that is not among SECRETS_KEYS. "
            "Put the former key back at the end of SECRETS_KEYS, or enter the secret again."
        ) from None


if TYPE_CHECKING:
    _TextField = models.TextField[str, str]
else:
    _TextField = models.TextField  # not generic at run time


class EncryptedTextField(_TextField):
    """Text that the database sees only encrypted. It cannot be searched for, and dumps leave it out."""

    description = "Encrypted text"
    # Asked for by whoever tells of a row's values.
    is_secret = True

    def get_prep_value(self, value: Any) -> Any:
        """The token to store."""
        if isinstance(value, Unopened):
            raise TypeError("This row was read without opening its secrets; read it again to save it.")
        value = super().get_prep_value(value)
        return encrypt(value) if isinstance(value, str) else value

    def from_db_value(self, value: str | None, _expression: Any, _connection: BaseDatabaseWrapper) -> Any:
        """The text behind the token of a row; Unopened where nobody asks for it."""
        if value and not _opens.get():
            return Unopened()
        return None if value is None else decrypt(value, owner=f"{self.model._meta.label}.{self.name}")

    def get_lookup(self, lookup_name: str) -> Any:
        """Only isnull: equal texts have different tokens, so a comparison could never match."""
        if lookup_name != "isnull":
            raise FieldError(f"{self.model._meta.label}.{self.name} is encrypted and cannot be looked up.")
        return super().get_lookup(lookup_name)

    def value_to_string(self, obj: models.Model) -> str:  # noqa: ARG002 - Django's signature
        """Nothing: a dump of the database's rows carries no secrets."""
        return ""
