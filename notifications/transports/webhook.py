"""Callouts: one signed HTTPS POST for each message, per https://www.standardwebhooks.com."""

import http.client
import ssl
import time
import tomllib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import requests
from urllib3.util import parse_url

from smtpprofiles.deadline import Deadline

from . import clock
from . import headers as callout_headers
from .answer import Answer
from .base import BODY_LIMIT, Message, Outcome, Transport, Verdict
from .connect import Callout, NotConnected
from .connections import GuardedAdapter, adapter
from .judge import judge_answer, retry_after
from .signing import sign
from .times import Times

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
        # Whatever is the same in every callout is put into words once.
        self._url = cast(str, requests.Request("POST", destination.url).prepare().url)
        parts = parse_url(self._url)
        self._host, self._target = parts.netloc or "", parts.request_uri
        self._masked = {name.lower(): callout_headers.MASK for name, _ in destination.headers}
        self._own = "".join(f"{name}: {value}\r\n" for name, value in destination.headers)
        self._own_masked = "".join(f"{name}: {callout_headers.MASK}\r\n" for name, _ in destination.headers)
        self._trouble = _trouble(destination.headers)

    def send(self, message: Message, times: Times | None = None) -> Outcome:
        """Try once, within the destination's wall clock; `times` of one's own see how far it comes."""
        times = times or Times()
        seconds = times.within(self._destination.timeout_seconds)
        started_at, start = clock.now(), time.monotonic()
        found: dict[str, Any]
        shown = address = ""
        if trouble := self._trouble or _trouble((("webhook-id-is", message.id), *message.headers)):
            found = {"verdict": Verdict.REJECTED, "error_class": "message", "detail": trouble}
        else:
            target = f"{self._target}{self._query(message)}"
            content, shown = self._words(message, target, times.age)
            with Deadline(seconds) as deadline:
                callout = Callout(
                    host=self._host,
                    content=times.altered(content) if times.is_traced else content,
                    deadline=deadline,
                    times=times,
                )
                try:
                    answer = self._adapter().send(callout)
                    found = self._found(answer, target)
                except NotConnected as error:
                    found = {"verdict": Verdict.RETRY, "error_class": error.error_class, "detail": str(error)}
                    if not deadline.finish():
                        found["error_class"] = "timeout"
                        found["detail"] = f"No connection within {seconds:g} seconds."
                except (http.client.HTTPException, OSError) as error:
                    found = _lost(error)
                if not deadline.finish() and found["error_class"] != "timeout":
                    # A watchdog that fired decides, or a cut drip would come back as a success.
                    found |= _late(seconds)
            address = callout.address
        return Outcome(
            started_at=started_at,
            duration=timedelta(seconds=time.monotonic() - start),
            address=address,
            request_headers=shown,
            **times.phases(),
            **found,
        ).without(message.secrets)

    def _query(self, message: Message) -> str:
        if not message.query:
            return ""
        return f"{'&' if '?' in self._target else '?'}{urlencode(message.query)}"

    def _words(self, message: Message, target: str, age: int = 0) -> tuple[bytes, str]:
        """Return the whole request, and its head as the log shows it."""
        body = message.body.encode()
        timestamp = int(clock.timestamp()) - age
        signature = sign(self._destination.secrets, message_id=message.id, timestamp=timestamp, body=body)
        before = (
            f"{_ALWAYS}Content-Length: {len(body)}\r\n"
            f"webhook-id: {message.id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: "
        )
        after = "".join([f"{name}: {value}\r\n" for name, value in message.headers])
        shown = after
        if self._masked:
            lines = [
                f"{name}: {self._masked.get(name.lower(), value)}\r\n" for name, value in message.headers
            ]
            shown = "".join(lines)
        # UTF-8, where a header is not ASCII, is what receivers expect today.
        before = f"POST {target} HTTP/1.1\r\nHost: {self._host}\r\n{before}"
        head = f"{before}{signature}\r\n{self._own}{after}\r\n"
        return head.encode() + body, callout_headers.show_lines(
            f"{before}v1,{callout_headers.MASK}\r\n{self._own_masked}{shown}"
        )

    def _adapter(self) -> GuardedAdapter:
        try:
            return adapter(self._destination.ca_certificate)
        except (ssl.SSLError, OSError) as error:
            raise NotConnected("tls", f"The CA certificate to trust cannot be read: {error}.") from error

    def _found(self, answer: Answer, target: str) -> dict[str, Any]:
        status, fields = answer.status_code, answer.fields
        judgement = judge_answer(
            status, url=f"https://{self._host}{target}", location=fields.get("location", "")
        )
        found = {
            "status_code": status,
            "verdict": judgement.verdict,
            "error_class": judgement.error_class,
            "detail": judgement.detail,
            "response_headers": answer.shown,
            "response_body": _text(answer.content, fields.get("content-encoding", "")),
        }
        if wish := fields.get("retry-after"):
            found["retry_after"] = retry_after(wish, status=status, now=clock.now())
        if not answer.is_complete:
            found |= {
                "verdict": Verdict.UNKNOWN,
                "error_class": "reset",
                "detail": f"The receiver began to answer {status} and broke off. It may have the callout.",
            }
        return found


_ALWAYS = f"User-Agent: {USER_AGENT}\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\n"


def _trouble(headers: Iterable[tuple[str, str]]) -> str:
    """Why these headers cannot be sent, or nothing."""
    for name, value in headers:
        if trouble := callout_headers.problem(name, value):
            return trouble
    return ""


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
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        detail = "The receiver answered with something that is not HTTP."
        return {"verdict": Verdict.RETRY, "error_class": "protocol", "detail": detail}
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        detail = f"The receiver's answer cannot be read: {error}. It may have the callout."
        return {"verdict": Verdict.UNKNOWN, "error_class": "protocol", "detail": detail.replace("\0", "")}
    detail = "The receiver closed the connection before it answered. It may have the callout."
    return {"verdict": Verdict.UNKNOWN, "error_class": "reset", "detail": detail}


def _late(seconds: float) -> dict[str, Any]:
    detail = f"The receiver did not finish its answer within {seconds:g} seconds. It may have the callout."
    return {"verdict": Verdict.UNKNOWN, "error_class": "timeout", "detail": detail}
