"""Callouts: one signed HTTPS POST for each message, per https://www.standardwebhooks.com."""

import ssl
import time
import tomllib
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import requests
import urllib3

from smtpprofiles.deadline import Deadline

from . import headers as callout_headers
from .base import BODY_LIMIT, Message, Outcome, Transport, Verdict
from .connections import NotConnected, adapter, exchange
from .judge import judge_answer, retry_after
from .signing import sign

_PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
USER_AGENT = f"Bellwether/{_PROJECT['version']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDestination:
    """One receiver: where, signed with what, and how long at most."""

    url: str  # base URL joined with path
    secrets: tuple[str, ...] = field(repr=False)  # whsec_…, newest first; each of them signs
    timeout_seconds: float = 15.0  # a wall clock over the whole callout
    ca_certificate: str = field(default="", repr=False)  # PEM; trusted alone where given
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # added; masked in the log


class WebhookTransport(Transport):
    """POSTs messages to one receiver; kept connections are shared with others of its configuration."""

    def __init__(self, destination: WebhookDestination) -> None:
        self._destination = destination
        # Prepared once: parsing and encoding the URL is most of what preparing costs.
        self._template = requests.Request("POST", destination.url).prepare()
        self._masked = {name.lower(): callout_headers.MASK for name, _ in destination.headers}
        self._masked["webhook-signature"] = f"v1,{callout_headers.MASK}"

    def send(self, message: Message) -> Outcome:
        """Try once, within the destination's wall clock."""
        clock = _Clock()
        added = (*self._destination.headers, *message.headers)
        for name, value in added:
            if trouble := callout_headers.problem(name, value):
                return clock.outcome(verdict=Verdict.REJECTED, error_class="message", detail=trouble)
        body = message.body.encode()
        sent = self._headers(message, body, added)
        shown = callout_headers.show(sent, masked=self._masked)
        request = self._request(message, body, sent)
        with Deadline(self._destination.timeout_seconds) as deadline:
            exchange.deadline, exchange.address = deadline, ""
            found: dict[str, Any]
            try:
                found = self._exchange(request)
            except NotConnected as error:
                found = {"verdict": Verdict.RETRY, "error_class": error.error_class, "detail": str(error)}
                if not deadline.finish():
                    found["error_class"] = "timeout"
                    found["detail"] = f"No connection within {self._destination.timeout_seconds:g} seconds."
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                found = _lost(error)
            finally:
                exchange.deadline = None
            if not deadline.finish() and found["error_class"] != "timeout":
                # A watchdog that fired decides, or a cut drip would come back as a success.
                found |= _late(self._destination.timeout_seconds)
        return clock.outcome(address=exchange.address, request_headers=shown, **found)

    def _headers(
        self, message: Message, body: bytes, added: tuple[tuple[str, str], ...]
    ) -> list[tuple[str, str]]:
        timestamp = int(time.time())
        signature = sign(self._destination.secrets, message_id=message.id, timestamp=timestamp, body=body)
        return [
            ("User-Agent", USER_AGENT),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Accept-Encoding", "identity"),
            ("webhook-id", message.id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signature),
            *added,
        ]

    def _request(
        self, message: Message, body: bytes, sent: list[tuple[str, str]]
    ) -> requests.PreparedRequest:
        request = self._template.copy()
        if message.query:
            separator = "&" if "?" in cast(str, request.url) else "?"
            request.url = f"{request.url}{separator}{urlencode(message.query)}"
        request.body = body
        # http.client would refuse what is outside Latin-1; UTF-8 is what receivers expect today.
        request.headers = cast(
            requests.structures.CaseInsensitiveDict[str],
            {name: value if value.isascii() else value.encode() for name, value in sent},
        )
        return request

    def _exchange(self, request: requests.PreparedRequest) -> dict[str, Any]:
        try:
            sender = adapter(self._destination.ca_certificate)
        except (ssl.SSLError, OSError) as error:
            raise NotConnected("tls", f"The CA certificate to trust cannot be read: {error}.") from error
        seconds = self._destination.timeout_seconds
        response = sender.send(request, stream=True, timeout=(seconds, seconds))
        try:
            if response.status_code < 200:
                response.raw.close()  # another answer may follow, and must not be the next callout's
            content, complete = _read(response)
        finally:
            if response.raw is not None:
                response.raw.release_conn()
        status, location = response.status_code, response.headers.get("Location", "")
        judgement = judge_answer(status, url=cast(str, request.url), location=location)
        found = {
            "status_code": status,
            "verdict": judgement.verdict,
            "error_class": judgement.error_class,
            "detail": judgement.detail,
            "retry_after": retry_after(
                response.headers.get("Retry-After"), status=status, now=datetime.now(UTC)
            ),
            "response_headers": callout_headers.show(response.raw.headers.items()),
            "response_body": _text(content, response.headers.get("Content-Encoding", "")),
        }
        if not complete:
            found |= {
                "verdict": Verdict.UNKNOWN,
                "error_class": "reset",
                "detail": f"The receiver began to answer {status} and broke off. It may have the callout.",
            }
        return found


def _read(response: requests.Response) -> tuple[bytes, bool]:
    """The body up to the limit, undecoded, and whether it was read without an error."""
    raw = response.raw
    content = b""
    try:
        while len(content) <= BODY_LIMIT and (
            chunk := raw.read(BODY_LIMIT + 1 - len(content), decode_content=False)
        ):
            content += chunk
    except (urllib3.exceptions.HTTPError, OSError):
        raw.close()
        return content[:BODY_LIMIT], False
    if len(content) > BODY_LIMIT:
        raw.close()  # the rest is not read, so the connection cannot serve again
    return content[:BODY_LIMIT], True


def _text(content: bytes, encoding: str) -> str:
    """A body as the log shows it: inflated up to the limit, never beyond."""
    if encoding.lower() in ("gzip", "x-gzip", "deflate"):
        try:
            content = zlib.decompressobj(wbits=47).decompress(content, BODY_LIMIT)
        except zlib.error:
            return f"({len(content)} bytes that are not {encoding})"
    elif encoding.lower() not in ("", "identity"):
        return f"({len(content)} bytes of {encoding[:40]}, not shown)".replace("\0", "")
    return content.decode("utf-8", "replace").replace("\0", "")


def _lost(error: Exception) -> dict[str, Any]:
    """An error after the request had begun: nobody here knows what became of it."""
    if isinstance(error, requests.Timeout | TimeoutError):
        return {
            "verdict": Verdict.UNKNOWN,
            "error_class": "timeout",
            "detail": _MAYBE.format("took too long"),
        }
    if "BadStatusLine" in repr(error) and "RemoteDisconnected" not in repr(error):
        detail = "The receiver answered with something that is not HTTP."
        return {"verdict": Verdict.RETRY, "error_class": "protocol", "detail": detail}
    return {
        "verdict": Verdict.UNKNOWN,
        "error_class": "reset",
        "detail": _MAYBE.format("closed the connection"),
    }


_MAYBE = "The receiver {} before it answered. It may have the callout."


def _late(seconds: float) -> dict[str, Any]:
    detail = f"The receiver did not finish its answer within {seconds:g} seconds. It may have the callout."
    return {"verdict": Verdict.UNKNOWN, "error_class": "timeout", "detail": detail}


class _Clock:
    """When a try began, and how long it took."""

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self._start = time.monotonic()

    def outcome(self, **found: Any) -> Outcome:
        duration = timedelta(seconds=time.monotonic() - self._start)
        return Outcome(started_at=self._started_at, duration=duration, **found)
