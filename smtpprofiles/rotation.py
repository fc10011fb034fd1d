"""Refresh tokens that a token server put in the place of older ones, until they are written down.

They come to light in a thread that sends, which touches no database: they wait here for one that may.
"""

import os
import threading
from collections.abc import Callable

_lock = threading.Lock()
_waiting: dict[int, str] = {}  # by profile


def owner(profile_id: int) -> str:
    """What a grant of this profile is known by."""
    return f"profile {profile_id}"


def profile_of(grant_owner: str) -> int | None:
    """Which profile that is; None where it is none."""
    number = grant_owner.removeprefix("profile ")
    return int(number) if number.isdecimal() else None


def noting(grant_owner: str) -> Callable[[str], None] | None:
    """What to call with a new refresh token of this grant; None where nobody owns it."""
    number = profile_of(grant_owner)
    if number is None:
        return None

    def note(token: str) -> None:
        with _lock:
            _waiting[number] = token

    return note


def take() -> dict[int, str]:
    """The new refresh tokens by profile, once."""
    if not _waiting:
        return {}
    with _lock:
        taken = dict(_waiting)
        _waiting.clear()
    return taken


def _start_afresh() -> None:
    global _lock  # noqa: PLW0603 - a forked child may have the parent's lock while somebody held it
    _lock = threading.Lock()
    _waiting.clear()


os.register_at_fork(after_in_child=_start_afresh)
