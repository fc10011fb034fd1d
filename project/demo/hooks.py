"""What the demo's HTTPS receiver does: verify with the `standardwebhooks` package, answer, keep a ledger.

It knows the endpoints' secrets from the sample configuration and nothing else of the product's code, so that
what it counts is what any subscriber's program would have counted.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from standardwebhooks import Webhook, WebhookVerificationError

from notifications.sinks.https_sink import Answer, Received


@dataclass(frozen=True, kw_only=True)
class Callout:
    """One request to a known endpoint; `at` is the monotonic clock at its arrival."""

    number: int
    id: str
    at: float
    is_verified: bool
    lane: str
    sequence: int | None
    previous: str


class Hooks:
    """The ledger of the webhooks that came. `answer` may be called from any thread."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """`secrets` by URL, without the query."""
        self._verifiers = {url: Webhook(secret) for url, secret in secrets.items()}
        self._hosts = {str(urlsplit(url).hostname) for url in secrets}
        self._lock = threading.Lock()
        self._callouts: list[Callout] = []
        self._faults: list[str] = []

    def answer(self, request: Received) -> Answer:
        """Take a request whose signature is right; refuse any other, as a careful receiver does.

        What an administrator's own endpoint sends to another path of a known host is taken unseen.
        """
        at = time.monotonic()
        path = request.path.partition("?")[0]
        host = request.headers.get("host", "")
        url = f"https://{host}{path}"
        verifier = self._verifiers.get(url)
        if host not in self._hosts:
            return _answer(
                404, f"Nobody takes {url}; the demo's receiver is {', '.join(sorted(self._hosts))}."
            )
        if verifier is None:
            return 204, {}, b""
        if request.method != "POST":
            return _answer(405, f"Webhooks come by POST, not by {request.method}.")
        fault = _fault(verifier, request)
        sequence = request.headers.get("bellwether-sequence", "")
        callout = Callout(
            number=request.number,
            id=request.headers.get("webhook-id", ""),
            at=at,
            is_verified=not fault,
            lane=request.headers.get("bellwether-lane", ""),
            sequence=int(sequence) if sequence.isdecimal() else None,
            previous=request.headers.get("bellwether-previous", ""),
        )
        with self._lock:
            self._callouts.append(callout)
            if fault:
                self._faults.append(f"{callout.id} to {url}: {fault}")
        return _answer(401, fault) if fault else (204, {}, b"")

    def callouts(self) -> list[Callout]:
        """Return what came so far, in order of arrival."""
        with self._lock:
            return sorted(self._callouts, key=lambda callout: callout.number)

    def faults(self) -> list[str]:
        """Return what was refused for its signature."""
        with self._lock:
            return list(self._faults)


def disorder(callouts: list[Callout]) -> list[str]:
    """Return what is wrong with the order in which each lane's callouts first came, one sentence each.

    Where the ledger begins in the middle of a lane, the lane is checked from there on.
    """
    faults: list[str] = []
    last: dict[str, Callout] = {}
    seen: set[str] = set()
    for callout in callouts:
        if not callout.lane or callout.id in seen:
            continue
        seen.add(callout.id)
        before = last.get(callout.lane)
        last[callout.lane] = callout
        if before is None:
            sound = callout.sequence is not None and (callout.sequence == 1) == (not callout.previous)
        else:
            follows = before.sequence is not None and callout.sequence == before.sequence + 1
            sound = follows and callout.previous == before.id
        if not sound:
            came = f"after {before.sequence}" if before else "first"
            faults.append(
                f"Lane {callout.lane}: number {callout.sequence} came {came}, "
                f"and names {callout.previous or 'nothing'} as the one before."
            )
    return faults


def _fault(verifier: Webhook, request: Received) -> str:
    """Return why the signature is wrong; empty if it is right."""
    try:
        verifier.verify(request.body, request.headers)
    except (WebhookVerificationError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _answer(status: int, text: str) -> Answer:
    return status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode()
