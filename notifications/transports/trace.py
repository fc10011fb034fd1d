"""A callout that somebody watches: sent by the code that sends all of them, over a connection of its own.

1. What it notes while it is under way becomes a table of steps, each with its time and what was found.
2. It may be sent wrong on purpose, so that a receiver can show that it refuses it.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from smtpprofiles import guard

from .base import Outcome, Verdict
from .times import Times

# Marks a request that is no delivery.
HEADER = ("bellwether-test", "true")


class State(StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    NOT_REACHED = "not_reached"
    NOT_NEEDED = "not_needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a callout."""

    name: str
    label: str
    state: State
    milliseconds: float | None
    detail: str


LABELS = {
    "resolve": "Resolve the name",
    "check": "Check the addresses",
    "connect": "Connect",
    "tls": "TLS handshake",
    "request": "Send the request",
    "response": "Read the answer",
}
# Where it failed that failed before anything was sent, whatever was reached.
_PLACE = {"dns": "resolve", "address_refused": "check", "tls": "tls", "message": "request"}


class Trace(Times):
    """The moments of one callout, with what was found at each."""

    is_traced = True

    def __init__(
        self,
        *,
        limit: float | None = None,
        age: int = 0,
        pause: float = 0.0,
        alter: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.started = 0.0
        self.limit = limit  # seconds, where the endpoint's own are too many
        self.age, self.pause, self.alter = age, pause, alter
        self._found: dict[str, list[str]] = {name: [] for name in LABELS}

    def begin(self) -> None:
        """Forget what was found on a connection before, as of a try that a fresh access token follows."""
        super().begin()
        self._found |= {name: [] for name in ("resolve", "check", "connect", "tls")}

    def resolved(self, addresses: Sequence[guard.VettedAddress]) -> None:
        """Note the addresses, once each."""
        super().resolved(addresses)
        found = dict.fromkeys(str(sockaddr[0]) for _, sockaddr in addresses)
        self._found["resolve"].append(", ".join(found))

    def permitted(self, *, is_mapped: bool) -> None:
        """Note that none is forbidden."""
        super().permitted(is_mapped=is_mapped)
        said = "OUTBOUND_CONNECT_TO leads this host here, so nothing is forbidden."
        self._found["check"].append(said if is_mapped else "Every one of them may be connected to.")

    def tried(self, sockaddr: Sequence[object], failure: OSError | None) -> None:
        """Note the address, and why the next one was tried."""
        super().tried(sockaddr, failure)
        said = str(failure.strerror or failure) if failure else f"{guard.show(sockaddr)} answered"
        self._found["connect"].append(f"{said[:1].upper()}{said[1:]}.")

    def shook_hands(self, sock: Any) -> None:
        """Note the version of TLS, and the certificate."""
        super().shook_hands(sock)
        self._found["tls"].append(_certificate(sock))

    def within(self, seconds: float) -> float:
        """Return the shorter of both; from now on time runs."""
        self.started = time.monotonic()
        return seconds if self.limit is None else min(seconds, self.limit)

    def altered(self, content: bytes) -> bytes:
        """Return the request, sent wrong if it is to be."""
        content = self.alter(content) if self.alter else content
        self._found["request"] = [f"{len(content):,} bytes."]
        return content

    def steps(self, outcome: Outcome) -> list[Step]:
        """Return all steps with their times; the first that did not come to its end is the one that failed."""
        end = self.started + outcome.duration.total_seconds()
        marks = {
            "resolve": (self.began, self.looked_up),
            "check": (self.looked_up, self.vetted),
            "connect": (self.vetted, self.connected),
            "tls": (self.connected, self.secured),
            # A receiver may answer before it has read everything.
            "request": (self.asked, self.sent or self.answered),
            "response": (self.sent or self.answered, end if self.answered else 0.0),
        }
        failed = _PLACE.get(outcome.error_class) or next(
            (name for name, (_, reached) in marks.items() if not reached), ""
        )
        if not failed and outcome.verdict is not Verdict.DELIVERED:
            failed = "response"
        steps: list[Step] = []
        state = State.DONE
        if outcome.error_class == "oauth" and not self.began:
            state = State.FAILED
            spent = _milliseconds(self.started, end)
            steps.append(
                Step(
                    name="token",
                    label="Get an access token",
                    state=state,
                    milliseconds=spent,
                    detail=outcome.detail,
                )
            )
        for name, (start, ended) in marks.items():
            reached = ended
            if state in (State.FAILED, State.NOT_REACHED):
                state = State.NOT_REACHED
            elif name == failed:
                state, reached = State.FAILED, end
            found = list(self._found[name])
            if name == "response" or (state is State.FAILED and not found):
                found.append(outcome.detail)
            if name == "response" and self.answered:
                found.insert(0, f"First byte after {(self.answered - self.asked) * 1000:.1f} ms.")
            is_needed = state is not State.DONE or bool(reached)
            steps.append(
                Step(
                    name=name,
                    label=LABELS[name],
                    state=state if is_needed else State.NOT_NEEDED,
                    milliseconds=_milliseconds(start, reached) if state is not State.NOT_REACHED else None,
                    detail=" ".join(found) if state is not State.NOT_REACHED else "",
                )
            )
        return steps


def _milliseconds(start: float, end: float) -> float | None:
    return round(max(0.0, end - start) * 1000, 1) if start and end else None


def _certificate(sock: ssl.SSLSocket) -> str:
    certificate: dict[str, Any] = sock.getpeercert() or {}
    names = dict(pair for each in certificate.get("subject", ()) for pair in each)
    issuer = dict(pair for each in certificate.get("issuer", ()) for pair in each)
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    who = names.get("commonName") or ", ".join(
        value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"
    )
    by = issuer.get("organizationName") or issuer.get("commonName") or "an authority without a name"
    return f"{sock.version()}; certificate for {who} by {by}, valid until {until:%Y-%m-%d}."
