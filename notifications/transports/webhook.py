"""Callouts: one signed HTTPS POST for each message, per https://www.standardwebhooks.com."""

import base64
import http.client
import ssl
import time
import tomllib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import requests
from urllib3.util import parse_url

from smtpprofiles.deadline import Deadline
from smtpprofiles.oauth import TokenGrant

from . import clock
from . import headers as callout_headers
from .answer import Answer
from .base import BODY_LIMIT, Message, Outcome, Transport, Verdict
from .bearer import with_token
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
    # whsec_… newest first, then whsk_… for Ed25519; each of them signs.
    secrets: tuple[str, ...] = field(repr=False)
    # Those that were replaced, each with the time (seconds since 1970) until which it signs too.
    retiring: tuple[tuple[str, float], ...] = field(default=(), repr=False)
    timeout_seconds: float = 15.0  # a wall clock over the whole callout, fetching a token included
    ca_certificate: str = field(default="", repr=False)  # PEM; trusted alone where given
    client_certificate: str = field(default="", repr=False)  # PEM, with client_key: shown to the receiver
    client_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # added; masked in the log
    open_headers: tuple[tuple[str, str], ...] = ()  # added; the log shows them
    grant: TokenGrant | None = None  # an OAuth2 access token goes with each callout


class WebhookTransport(Transport):
    """POSTs messages to one receiver; kept connections are shared with others of its configuration."""

    def __init__(self, destination: WebhookDestination) -> None:
        self._destination = destination
        # Whatever is the same in every callout is put into words once.
        self._url = cast(str, requests.Request("POST", destination.url).prepare().url)
        parts = parse_url(self._url)
        self._host, self._target = parts.netloc or "", parts.request_uri
        secret, plain = destination.headers, destination.open_headers
        own = tuple(name for name, _ in (*secret, *plain)) + (("Authorization",) if destination.grant else ())
        self._own_names = frozenset(name.lower() for name in own)
        self._own = _lines((*secret, *plain))
        self._own_masked = _lines((*((name, callout_headers.MASK) for name, _ in secret), *plain))
        self._trouble = _trouble((*secret, *plain))
        # Longest first: one may be part of another.
        self._confidential = tuple(
            sorted({word for _, value in secret for word in _words_of(value)}, key=len)
        )[::-1]

    def send(self, message: Message, times: Times | None = None) -> Outcome:
        """Try once, within the destination's wall clock; `times` of one's own see how far it comes."""
        times = times or Times()
        started_at, start = clock.now(), time.monotonic()
        seconds, grant = times.within(self._destination.timeout_seconds), self._destination.grant
        found: dict[str, Any]
        if trouble := self._trouble or self._trouble_of(message):
            found = {"verdict": Verdict.REJECTED, "error_class": "message", "detail": trouble}
        elif grant is None:
            found = self._try(message, times, seconds)
        else:
            found = with_token(grant, seconds, partial(self._try, message, times))
        return Outcome(
            started_at=started_at,
            duration=timedelta(seconds=time.monotonic() - start),
            **times.phases(),
            **found,
        ).without(message.secrets)

    def _trouble_of(self, message: Message) -> str:
        """Why the message's own headers cannot be sent, or nothing."""
        for name, _ in message.headers if self._own_names else ():
            if name.lower() in self._own_names:
                return f"The parameter {name} and the endpoint itself both set the header {name}. Rename one."
        return _trouble((("webhook-id-is", message.id), *message.headers))

    def _try(self, message: Message, times: Times, seconds: float, token: str = "") -> dict[str, Any]:
        """Return what an Outcome tells of one request, that it is bounded by `seconds`."""
        found: dict[str, Any]
        target = f"{self._target}{self._query(message)}"
        content, shown = self._words(message, target, token, times.age)
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
        if self._confidential or token:
            self._mask(found, token)
        found["address"], found["request_headers"] = callout.address, shown
        return found

    def _mask(self, found: dict[str, Any], token: str) -> None:
        """Take out what the receiver echoes of that which was told to it alone."""
        for name in ("detail", "response_headers", "response_body"):
            for word in (token, *self._confidential):
                if word and word in found.get(name, ""):
                    found[name] = found[name].replace(word, callout_headers.MASK)

    def _query(self, message: Message) -> str:
        if not message.query:
            return ""
        return f"{'&' if '?' in self._target else '?'}{urlencode(message.query)}"

    def _words(self, message: Message, target: str, token: str, age: int = 0) -> tuple[bytes, str]:
        """Return the whole request, and its head as the log shows it."""
        body = message.body.encode()
        timestamp = int(clock.timestamp()) - age
        secrets = self._destination.secrets
        if self._destination.retiring:
            secrets += tuple(old for old, until in self._destination.retiring if timestamp < until)
        signature = sign(secrets, message_id=message.id, timestamp=timestamp, body=body)
        before = (
            f"{_ALWAYS}Content-Length: {len(body)}\r\n"
            f"webhook-id: {message.id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: "
        )
        after = _lines(message.headers)
        own, own_masked = self._own, self._own_masked
        if token:
            own = f"Authorization: Bearer {token}\r\n{own}"
            own_masked = f"Authorization: Bearer {callout_headers.MASK}\r\n{own_masked}"
        # UTF-8, where a header is not ASCII, is what receivers expect today.
        before = f"POST {target} HTTP/1.1\r\nHost: {self._host}\r\n{before}"
        head = f"{before}{signature}\r\n{own}{after}\r\n"
        return head.encode() + body, callout_headers.show_lines(
            f"{before}{_MASKED if ' ' not in signature else _masked(signature)}\r\n{own_masked}{after}"
        )

    def _adapter(self) -> GuardedAdapter:
        try:
            return adapter(
                self._destination.ca_certificate,
                client_certificate=self._destination.client_certificate,
                client_key=self._destination.client_key,
            )
        except (ssl.SSLError, OSError, ValueError) as error:
            what = "The CA certificate to trust, or the client certificate with its key, cannot be read"
            raise NotConnected("tls", f"{what}: {error}.") from error

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


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


_MASKED = f"v1,{callout_headers.MASK}"


def _masked(signature: str) -> str:
    versions = (entry.partition(",")[0] for entry in signature.split(" "))
    return " ".join(f"{version},{callout_headers.MASK}" for version in versions)


def _words_of(value: str) -> Iterable[str]:
    """A header's value, what follows its scheme, and a Basic password, as far as each is long enough to be one."""
    scheme, _, rest = value.rpartition(" ")
    words = [value, rest]
    if scheme == "Basic":
        words.append(base64.b64decode(rest).decode().partition(":")[2])
    return (word for word in words if len(word) >= 4)


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
