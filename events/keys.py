"""Making API keys: 256 random bits, shown once, kept as a SHA-256."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser

from .models import ApiKey, Subscriber
from .models.parties import OPERATORS_SCOPES

PREFIX = "bwk"


def digest(token: str) -> str:
    """Return the hexadecimal SHA-256 under which a key is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> tuple[str, str]:
    """Return a new key and its readable prefix."""
    prefix = f"{PREFIX}_{secrets.token_hex(4)}"
    return f"{prefix}_{secrets.token_urlsafe(32)}", prefix


def create_key(
    *,
    subscriber: Subscriber,
    name: str,
    scopes: Iterable[str],
    is_operator: bool = False,
    expires_at: datetime | None = None,
    created_by: AbstractBaseUser | None = None,
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret text, which exists nowhere afterwards.

    The `config:` scopes reach every subscriber, and make it an operator's key.
    """
    token, prefix = new_token()
    chosen = list(scopes)
    key = ApiKey(
        subscriber=subscriber,
        name=name,
        prefix=prefix,
        digest=digest(token),
        scopes=chosen,
        is_operator=is_operator or not OPERATORS_SCOPES.isdisjoint(chosen),
        expires_at=expires_at,
        created_by_id=created_by.pk if created_by else None,
    )
    key.full_clean()
    key.save()
    return key, token
