"""Callouts with an OAuth2 access token: the kept one first, and after a 401 once more with a fresh one."""

import time
from collections.abc import Callable
from typing import Any

from smtpprofiles import oauth
from smtpprofiles.oauth import TokenGrant, TokenRefused, TokenUnavailable

from .base import Verdict


def with_token(
    grant: TokenGrant, seconds: float, attempt: Callable[[float, str], dict[str, Any]]
) -> dict[str, Any]:
    """Attempt with a token, within `seconds` in all; returns what `attempt(seconds, token)` found.

    A token that the server refuses, or the receiver even when it is fresh, blocks the endpoint.
    """
    end = time.monotonic() + seconds
    found: dict[str, Any] = {}
    for _ in range(2):
        try:
            token = oauth.access_token(grant, deadline_seconds=max(0.0, end - time.monotonic()))
        except TokenRefused as error:
            return found | {"verdict": Verdict.BLOCKED, "error_class": "oauth", "detail": str(error)}
        except TokenUnavailable as error:
            return found | {"verdict": Verdict.RETRY, "error_class": "oauth", "detail": str(error)}
        found = attempt(end - time.monotonic(), token)
        if found.get("status_code") != 401:
            return found
        oauth.forget(grant, token)
    detail = (
        "The receiver answered 401 (Unauthorized) to a fresh access token, too. "
        "Check with the receiver which token server, client, scope and audience it accepts."
    )
    return found | {"verdict": Verdict.BLOCKED, "error_class": "oauth", "detail": detail}
