"""OAuth2 access tokens: fetched once for many sends, kept until shortly before they expire.

1. One fetch at a time for a grant. Whoever comes meanwhile waits for it, and shares how it ends.
2. A token is kept in the memory of its process alone. It is replaced once it has a fifth of its life left,
   at most a minute; or once somebody says that it was refused (`forget`).
3. What a server puts in place of a refresh token is used from then on, and handed to whoever owns the grant.
   Processes that share a profile's refresh token use it in turn (refresh_turn.py).
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .refresh_turn import refresh
from .rotation import profile_of
from .token_request import Token, TokenGrant, TokenRefused, TokenUnavailable, request_token

__all__ = ["TokenGrant", "TokenRefused", "TokenUnavailable", "access_token", "forget", "forget_all"]

# Before it expires a token must still reach the server that checks it.
LONGEST_MARGIN = 60.0  # seconds
MARGIN_SHARE = 0.2
# Grants change when they are edited; what nobody asks for any more is dropped beyond this number.
_MOST_KEPT = 10_000


@dataclass(slots=True, eq=False)
class _Fetch:
    """A fetch that is under way; those who wait for it share its end."""

    done: threading.Event = field(default_factory=threading.Event)
    value: str = field(default="", repr=False)
    failure: TokenRefused | TokenUnavailable | None = None


@dataclass(slots=True, eq=False)
class _Kept:
    """What is known for one grant."""

    value: str = field(default="", repr=False)
    good_until: float = 0.0  # monotonic seconds
    fetch: _Fetch | None = None
    refresh_token: str = field(default="", repr=False)  # the newest one
    replaced: set[str] = field(
        default_factory=set, repr=False
    )  # by the server, so that they are not used again


_kept: dict[TokenGrant, _Kept] = {}
_lock = threading.Lock()


def access_token(
    grant: TokenGrant, *, deadline_seconds: float, on_new_refresh_token: Callable[[str], None] | None = None
) -> str:
    """An access token that is good now, within `deadline_seconds`; most often without asking anybody.

    TokenRefused or TokenUnavailable says why there is none. `on_new_refresh_token` is called in the thread
    that fetched, before anybody has the token, where the server put a new refresh token in the old one's place.
    """
    now = time.monotonic()
    with _lock:
        kept = _kept_for(grant)
        if kept.value and now < kept.good_until:
            return kept.value
        fetch, is_mine = kept.fetch, kept.fetch is None
        if fetch is None:
            fetch = kept.fetch = _Fetch()
            grant = replace(grant, refresh_token=kept.refresh_token)
    if is_mine:
        _run(fetch, kept, grant, min(deadline_seconds, grant.timeout_seconds), on_new_refresh_token)
    elif not fetch.done.wait(deadline_seconds):
        raise TokenUnavailable(
            f"No access token: the token server took more than {deadline_seconds:.1f} seconds."
        )
    if fetch.failure is not None:
        # A new one for each thread: raising adds to an exception.
        raise type(fetch.failure)(str(fetch.failure))
    return fetch.value


def forget(grant: TokenGrant, token: str) -> None:
    """Use this token no more, as it was refused; one that has replaced it already is kept."""
    with _lock:
        kept = _kept.get(_key(grant))
        if kept is not None and kept.value == token:
            kept.value = ""


def forget_all() -> None:
    """Forget every token of this process."""
    with _lock:
        _kept.clear()


def _key(grant: TokenGrant) -> TokenGrant:
    return replace(grant, refresh_token="") if grant.owner else grant


def _kept_for(grant: TokenGrant) -> _Kept:
    key = _key(grant)
    kept = _kept.pop(key, None) or _Kept()
    _kept[key] = kept  # last, so that the first are those that were not asked for the longest
    while len(_kept) > _MOST_KEPT:
        del _kept[next(iter(_kept))]
    if grant.refresh_token not in kept.replaced:
        kept.refresh_token = grant.refresh_token
    return kept


def _run(
    fetch: _Fetch,
    kept: _Kept,
    grant: TokenGrant,
    seconds: float,
    on_new_refresh_token: Callable[[str], None] | None,
) -> None:
    asked_at = time.monotonic()
    token: Token | None = None
    used = grant.refresh_token
    # What the others are told, should there be a bug here.
    fetch.failure = TokenUnavailable("No access token: asking for it failed.")
    try:
        token, used, is_stored = _ask(grant, kept, seconds)
        if on_new_refresh_token and not is_stored and token.refresh_token not in ("", used):
            on_new_refresh_token(token.refresh_token)
        fetch.value, fetch.failure = token.value, None
    except (TokenRefused, TokenUnavailable) as error:
        fetch.failure = error
    finally:
        with _lock:
            kept.fetch = None
            if token is not None:
                margin = min(LONGEST_MARGIN, token.lifetime * MARGIN_SHARE)
                kept.value, kept.good_until = token.value, asked_at + token.lifetime - margin
                if token.refresh_token not in ("", used):
                    kept.replaced |= {grant.refresh_token, used}
                    kept.refresh_token = token.refresh_token
        fetch.done.set()


def _ask(grant: TokenGrant, kept: _Kept, seconds: float) -> tuple[Token, str, bool]:
    """Return a token, the refresh token that it cost, and whether its successor is stored already."""
    profile = profile_of(grant.owner)
    if profile is None or not grant.refresh_token:
        return request_token(grant, seconds=seconds), grant.refresh_token, False
    found = refresh(grant, profile, replaced=kept.replaced, seconds=seconds)
    return found.token, found.used, found.is_stored


def _start_afresh() -> None:
    global _kept, _lock
    _kept, _lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_start_afresh)
