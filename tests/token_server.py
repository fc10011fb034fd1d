"""A real OAuth2 token server on loopback: it checks who asks, counts, and answers as it is told to."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from notifications.sinks.https_sink import Answer, Received

TOKEN_HOST = "login.example.test"
TOKEN_URL = f"https://{TOKEN_HOST}/oauth2/token"
CLIENT_ID, CLIENT_SECRET = "billing:app", "s3cret/with+odd:ones %"


@dataclass(kw_only=True)
class TokenServer:
    """What a token server knows; `answer` is the script of an HttpsSink."""

    lifetime: Any = 3600
    rotates: bool = False
    fault: Callable[[dict[str, str]], Any] | None = None  # answers instead, where it returns something
    refresh_token: str = "refresh-0"
    asked: list[dict[str, str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    def answer(self, request: Received) -> Any:
        form = {
            name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()
        }
        self.asked.append(form | {"how": "body" if "client_secret" in form else "header"})
        if self.fault and (answer := self.fault(form)) is not None:
            return answer
        if self._who(request, form) != (CLIENT_ID, CLIENT_SECRET):
            return problem(401, "invalid_client", "Client authentication failed")
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh_token:
            return problem(400, "invalid_grant", f"Unknown refresh token {form['refresh_token']}")
        token = f"token-{len(self.given) + 1}"
        self.given.append(token)
        found: dict[str, Any] = {"access_token": token, "token_type": "bearer", "expires_in": self.lifetime}
        if self.rotates and form["grant_type"] == "refresh_token":
            found["refresh_token"] = self.refresh_token = f"refresh-{len(self.given)}"
        return as_json(200, found)

    @staticmethod
    def _who(request: Received, form: dict[str, str]) -> tuple[str, str]:
        if "client_secret" in form:
            return form["client_id"], form["client_secret"]
        pair = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        name, _, secret = pair.partition(":")
        return unquote_plus(name), unquote_plus(secret)


def problem(status: int, error: str, description: str = "") -> Answer:
    return as_json(status, {"error": error, "error_description": description})


def as_json(status: int, found: Any) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(found).encode()
