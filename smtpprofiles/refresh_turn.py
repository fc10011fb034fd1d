"""One refresh token, many processes: they use it in turn, each beginning with what the one before it was given.

A server that replaces refresh tokens takes one that comes a second time for stolen, and revokes all of them.

1. The turn is an advisory lock of the profile, held by a session of its own: no transaction stays open over the
   network, no other profile waits, and a process that dies lets go with its connection; one that is frozen, too.
2. The stored token is read in the turn, and the new one written before it ends, unless a person has entered
   another one meanwhile.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, connections
from psycopg.errors import LockNotAvailable

from .encryption import SecretUnreadable, decrypt, encrypt
from .token_request import Token, TokenGrant, TokenRefused, TokenUnavailable, request_token

# The first half of the lock's key; the other is the profile.
LOCK = 0x746F6B65  # "toke"
_FROZEN_AFTER = 30  # seconds; longer than any token server is waited for
_READ = "SELECT oauth_refresh_token FROM smtpprofiles_smtpprofile WHERE id = %s"
_WRITE = (
    "UPDATE smtpprofiles_smtpprofile SET oauth_refresh_token = %s WHERE id = %s AND oauth_refresh_token = %s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A token, the refresh token that it was asked for with, and whether the new one is stored."""

    token: Token
    used: str
    is_stored: bool


def refresh(grant: TokenGrant, profile_id: int, *, replaced: Collection[str], seconds: float) -> Refreshed:
    """Ask for a token in this profile's turn, within `seconds`. TokenRefused or TokenUnavailable says why not.

    `replaced` are refresh tokens that this process knows to be spent, should one of them still be stored.
    """
    end = time.monotonic() + seconds
    connection = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        with connection.cursor() as cursor:
            _wait(cursor, profile_id, seconds)
            cursor.execute(_READ, [profile_id])
            row = cursor.fetchone()
            stored = decrypt(row[0], owner="SmtpProfile.oauth_refresh_token") if row else ""
            used = grant.refresh_token if not stored or stored in replaced else stored
            token = request_token(
                replace(grant, refresh_token=used), seconds=max(0.1, end - time.monotonic())
            )
            is_stored = bool(row) and _store(cursor, profile_id, row[0], token.refresh_token)
            return Refreshed(token=token, used=used, is_stored=is_stored)
    except SecretUnreadable as error:
        raise TokenRefused(str(error)) from error
    except (OperationalError, InterfaceError) as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise TokenUnavailable(
                "No access token: another process is fetching one for this profile."
            ) from error
        raise TokenUnavailable(
            "No access token: the database that keeps the refresh token is away."
        ) from error
    finally:
        connection.close()


def _wait(cursor: Any, profile_id: int, seconds: float) -> None:
    cursor.execute(
        "SELECT set_config('lock_timeout', %s, false), set_config('idle_session_timeout', %s, false)",
        [f"{max(1, int(seconds * 1000))}ms", f"{_FROZEN_AFTER}s"],
    )
    cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK, profile_id])


def _store(cursor: Any, profile_id: int, before: str, new: str) -> bool:
    """Whether the new refresh token stands where the old one did; without a new one, the old one goes on."""
    if not new:
        return True
    try:
        cursor.execute(_WRITE, [encrypt(new), profile_id, before])
    except DatabaseError:  # the token is good all the same: it is kept in memory, and written down later
        return False
    return True
