"""Reading a receiver's answer off its connection.

1. Nearly every answer is short, arrives in one piece and frames itself plainly: that one is taken apart
   here, because http.client spends more on the head alone than the whole callout costs.
2. Everything else, however odd, is read by http.client, from the first byte on.
3. At most BODY_LIMIT of a body is read. A connection serves again only if its answer was read to the end
   and nothing came after it.
"""

import http.client
import re
import ssl
import time
from functools import cached_property
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict

from .base import BODY_LIMIT
from .headers import show, show_lines
from .times import Times

_RECORD = 16_384  # TLS has no longer ones, so that nothing is ever left behind in its layer
# A head without anything to interpret: final, HTTP/1.1, ended by CRLF, one space after each colon.
_PLAIN_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-9][0-9]{2})(?: [^\r\n]*+)?\r\n"
    rb"((?:[A-Za-z0-9!#$%&'*+.^_`|~-]++: (?![ \t])[^\r\n]*+\r\n){0,100}+)\r\n"
)
_BODILESS = (204, 304)


class Answer(requests.Response):
    """What the receiver said, read already. Cookies and a guessed encoding would serve nobody."""

    def __init__(
        self,
        status: int,
        shown: str,
        fields: dict[str, str],
        content: bytes,
        *,
        is_complete: bool,
        is_reusable: bool,
    ) -> None:
        # Without super().__init__(): it makes a cookie jar for each answer.
        self.status_code = status
        self.shown = shown  # the headers, as the log keeps them
        self.fields = fields  # values by lower-case name, repeated ones joined by commas
        self._content, self._content_consumed = content, True
        self.is_complete = is_complete  # False: it broke off
        self.is_reusable = is_reusable  # whether the connection can serve again
        self.reason = self.url = ""

    @cached_property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]
        """The fields, as requests has them."""
        return CaseInsensitiveDict(self.fields)


def read(sock: ssl.SSLSocket, times: Times | None = None) -> Answer:
    """Read the final answer. http.client.HTTPException for one that is none, or OSError."""
    received = sock.recv(_RECORD)
    if times is not None and received:
        times.answered = time.monotonic()
    plain = _PLAIN_HEAD.match(received)
    answer = _whole(plain, received) if plain else None
    return answer if answer is not None else _piecemeal(_Stream(sock, received))


def _whole(head: re.Match[bytes], received: bytes) -> Answer | None:
    """Return the answer if it is all there, by a framing that needs no thought."""
    status, text = int(head[1]), head[2].decode("latin-1")
    fields: dict[str, str] = {}
    for line in text.split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        name = name.lower()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    rest = len(received) - head.end()
    length = "0" if status in _BODILESS else fields.get("content-length", "")
    if length != str(rest) or rest > BODY_LIMIT or "transfer-encoding" in fields:
        return None
    return Answer(
        status,
        show_lines(text),
        fields,
        received[head.end() :],
        is_complete=True,
        is_reusable="close" not in fields.get("connection", "").lower(),
    )


class _Stream:
    """What http.client reads an answer from: first what came already, then the connection."""

    def __init__(self, sock: ssl.SSLSocket, received: bytes) -> None:
        self._sock = sock
        self.kept = bytearray(received)
        self._has_ended = not received

    def makefile(self, _mode: str) -> "_Stream":
        return self

    def read(self, size: int) -> bytes:
        if size < 0:  # a chunk that says so
            raise ValueError("a negative length")
        while len(self.kept) < size and self._more():
            pass
        return self._take(size)

    def readline(self, limit: int) -> bytes:
        while (end := self.kept.find(b"\n", 0, limit)) < 0 and len(self.kept) < limit and self._more():
            pass
        return self._take(end + 1 or limit)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _more(self) -> bool:
        if not self._has_ended:
            received = self._sock.recv(_RECORD)
            self.kept += received
            self._has_ended = not received
        return not self._has_ended

    def _take(self, size: int) -> bytes:
        taken = bytes(self.kept[:size])
        del self.kept[:size]
        return taken


class _FinalResponse(http.client.HTTPResponse):
    """The final answer: http.client takes every interim one but 100 for it, 103 Early Hints say (RFC 9110 §15.2)."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            # An endless row of them is ended by the deadline.
            while self.fp.readline(65_537).strip():
                pass


def _piecemeal(stream: _Stream) -> Answer:
    response = _FinalResponse(stream)  # type: ignore[arg-type]
    response.begin()
    pairs = response.headers.items()
    fields: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    lengths = {length.strip() for length in fields.get("content-length", "").split(",")}
    if len(lengths) > 1:
        raise http.client.HTTPException("two lengths for one body")
    content, is_complete = _body(response)
    return Answer(
        response.status,
        show(pairs),
        fields,
        content[:BODY_LIMIT],
        is_complete=is_complete,
        is_reusable=(
            is_complete
            and response.isclosed()
            and not response.will_close
            and not stream.kept
            and response.status >= 200  # after 101 another answer may follow
            and len(content) <= BODY_LIMIT
        ),
    )


def _body(response: Any) -> tuple[bytes, bool]:
    """Return the body up to one byte over the limit, undecoded, and whether it did not break off."""
    content = b""
    try:
        while len(content) <= BODY_LIMIT and (chunk := response.read(BODY_LIMIT + 1 - len(content))):
            content += chunk
    except (http.client.HTTPException, OSError, ValueError):
        return content, False
    return content, len(content) > BODY_LIMIT or not response.length
