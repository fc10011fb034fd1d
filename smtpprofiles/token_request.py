"""Asking an OAuth2 token server for an access token: one request, and what its answer means.

Client credentials (RFC 6749 §4.4), or a refresh token (§6) where there is one.
"""

import base64
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, quote_plus, urlencode

from . import https

# Where a server does not say for how long its token is good (RFC 6749 only recommends that it does).
UNSTATED_LIFETIME = 300.0  # seconds
LONGEST_LIFETIME = 7 * 86_400.0
_TOKEN = re.compile(r"[\x21-\x7e]+")
# Answers that say "not now" whatever the status is.
_PASSING_ERRORS = {"server_error", "temporarily_unavailable", "slow_down"}
_PASSING_STATUSES = {408, 425, 429}


class TokenRefused(Exception):  # noqa: N818 - named for the fact
    """The token server will give no token until somebody changes what is configured; no secret is in it."""


class TokenUnavailable(Exception):  # noqa: N818 - named for the fact
    """There is no token now, but there may be later; no secret is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """What one owner shows to its token server; hashable, and the same values share one token."""

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    audience: str = ""
    refresh_token: str = field(default="", repr=False)  # where given, it is used, not client credentials
    credentials_in: Literal["header", "body"] = "header"
    ca_certificate: str = field(default="", repr=False)
    timeout_seconds: float = 10.0
    # Whose it is, where the refresh token may be replaced by the server: "profile 7" has one token,
    # whichever of its refresh tokens is at hand. Empty: the refresh token itself tells grants apart.
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token server gave."""

    value: str = field(repr=False)
    lifetime: float  # seconds from when it was asked for
    refresh_token: str = field(default="", repr=False)  # a new one, where the server replaced it


def request_token(grant: TokenGrant, *, seconds: float) -> Token:
    """Ask once, within `seconds`. TokenRefused or TokenUnavailable says why there is none."""
    form, headers = _form(grant)
    try:
        answer = https.post(
            grant.token_url,
            body=urlencode(form).encode(),
            headers=headers,
            seconds=seconds,
            ca_certificate=grant.ca_certificate,
        )
    except https.Misconfigured as error:
        raise TokenRefused(f"No access token: {error}") from error
    except https.Unreachable as error:
        raise TokenUnavailable(f"No access token: {error}") from error
    return _judge(grant, answer)


def _form(grant: TokenGrant) -> tuple[dict[str, str], dict[str, str]]:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    form = {"grant_type": "client_credentials"}
    if grant.refresh_token:
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
    form |= {name: value for name in ("scope", "audience") if (value := getattr(grant, name))}
    if grant.credentials_in == "header" and grant.client_secret:
        headers["Authorization"] = f"Basic {_basic(grant)}"
        return form, headers
    form["client_id"] = grant.client_id
    if grant.client_secret:
        form["client_secret"] = grant.client_secret
    return form, headers


def _basic(grant: TokenGrant) -> str:
    # Each is form-encoded first (RFC 6749 §2.3.1), so that a colon in either separates nothing.
    pair = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret)}"
    return base64.b64encode(pair.encode()).decode()


def _judge(grant: TokenGrant, answer: https.HttpsAnswer) -> Token:
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        found = None
    members: dict[str, Any] = found if isinstance(found, dict) else {}
    if 200 <= answer.status <= 299 and not members.get("error"):
        return _token(members)
    fault = members.get("error")
    why = _said(grant, members) or f"status {answer.status}"
    if 300 <= answer.status <= 399:
        raise TokenRefused(
            f"The token server redirects ({answer.status}), and redirects are not followed: "
            "give the token URL that it really has."
        )
    if answer.status >= 500 or answer.status in _PASSING_STATUSES or fault in _PASSING_ERRORS:
        raise TokenUnavailable(f"The token server has no access token now: {why}.")
    raise TokenRefused(
        f"The token server refused to give an access token: {why}. Check token URL, client ID, secret and scope."
    )


def _token(members: dict[str, Any]) -> Token:
    value, kind = members.get("access_token"), members.get("token_type", "Bearer")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise TokenUnavailable("The token server's answer holds no access token that could be used.")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenRefused(
            "The token server gives tokens of another kind than Bearer, which is all we can use."
        )
    refresh_token = members.get("refresh_token")
    return Token(
        value=value,
        lifetime=_lifetime(members.get("expires_in")),
        refresh_token=refresh_token if isinstance(refresh_token, str) else "",
    )


def _lifetime(stated: object) -> float:
    if stated is None or isinstance(stated, bool):
        return UNSTATED_LIFETIME
    try:
        seconds = float(stated)  # type: ignore[arg-type]  # some servers write it as a text
    except (TypeError, ValueError, OverflowError):
        return UNSTATED_LIFETIME
    return min(max(seconds, 0.0), LONGEST_LIFETIME) if math.isfinite(seconds) else UNSTATED_LIFETIME


def _said(grant: TokenGrant, members: dict[str, Any]) -> str:
    """The server's own words, on one line, without what we told it in confidence."""
    words = [members[name] for name in ("error", "error_description") if isinstance(members.get(name), str)]
    text = " ".join("".join(c if c.isprintable() else " " for c in ": ".join(words)).split())
    secrets = [grant.client_secret, grant.refresh_token]
    spellings = {
        spelling for secret in secrets for spelling in (secret, quote(secret, safe=""), quote_plus(secret))
    }
    spellings.add(_basic(grant))
    for spelling in sorted(spellings - {""}, key=len, reverse=True):
        text = text.replace(spelling, "****")
    return text[:300].rstrip(". ")
