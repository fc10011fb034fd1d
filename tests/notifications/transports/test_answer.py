import http.client
import io
import ssl
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.transports import answer
from notifications.transports.base import BODY_LIMIT
from notifications.transports.headers import show


class Script:
    """A connection that hands out these pieces, and then its end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.was_asked_again = False

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            self.was_asked_again = True
            return b""
        piece, rest = self.pieces[0][:size], self.pieces[0][size:]
        self.pieces[:1] = [rest] if rest else []
        return piece

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(b"".join(self.pieces))


def read(*pieces: bytes) -> answer.Answer:
    return answer.read(cast(ssl.SSLSocket, Script(*pieces)))


tokens = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12)
names = st.one_of(
    tokens, st.sampled_from(["Content-Length", "content-type", "Connection", "Transfer-Encoding", "Date"])
)
texts = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
# Of these alone, http.client takes the reason for a part of the number.
reasons = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x1c\x1d\x1e\x1f"), max_size=20)
values = st.one_of(
    texts, st.sampled_from(["0", "2", "5", "close", "keep-alive", "chunked", "x\r\n folded", "-1", "+2"])
)
fields = st.tuples(names, st.sampled_from([": ", ":", ":  ", ":\t"]), values)
heads = st.builds(
    lambda version, status, reason, lines, end: end.join(
        [f"HTTP/{version} {status}{reason}", *("".join(line) for line in lines), "", ""]
    ).encode("latin-1"),
    st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
    st.integers(200, 599),
    st.one_of(st.just(""), reasons.map(" {}".format)),
    st.lists(fields, max_size=8),
    st.sampled_from(["\r\n", "\r\n", "\n"]),
)
bodies = st.sampled_from([b"", b"ok", b"hello", b"2\r\nok\r\n0\r\n\r\n", b"x" * 100])


@given(head=heads, body=bodies)
def test_an_answer_is_read_as_http_client_reads_it(head, body):
    theirs = http.client.HTTPResponse(cast(ssl.SSLSocket, Script(head + body)))
    theirs.begin()
    lengths = {value.strip() for value in ",".join(theirs.headers.get_all("content-length", [])).split(",")}
    if len(lengths) > 1:
        with pytest.raises(http.client.HTTPException, match="two lengths"):
            read(head + body)
        return
    ours = read(head + body)
    try:
        content = theirs.read(BODY_LIMIT)
    except http.client.IncompleteRead:
        assert not ours.is_complete
    else:
        assert ours.content == content
        assert ours.is_complete == (not theirs.length)
    assert ours.status_code == theirs.status
    assert ours.shown == show(theirs.headers.items())
    assert set(ours.fields) == {name.lower() for name in theirs.headers}
    for name, value in ours.fields.items():
        assert value == ours.headers[name.title()] == ", ".join(theirs.headers.get_all(name))
    assert not (ours.is_reusable and theirs.will_close)


@given(head=heads, body=bodies, cuts=st.lists(st.integers(0, 300), max_size=5))
def test_an_answer_in_pieces_is_the_same_answer(head, body, cuts):
    said = head + body
    ends = sorted({min(cut, len(said)) for cut in cuts} | {0, len(said)})
    pieces = [said[start:end] for start, end in pairwise(ends)]
    try:
        whole = read(said)
    except http.client.HTTPException as error:
        with pytest.raises(type(error)):
            read(*pieces)
        return
    again = read(*pieces)
    assert (again.status_code, again.shown, again.fields, again.content, again.is_complete) == (
        whole.status_code,
        whole.shown,
        whole.fields,
        whole.content,
        whole.is_complete,
    )


@given(said=st.binary(max_size=200))
def test_whatever_is_said_is_an_answer_or_an_http_exception(said):
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            found = read(start + said)
        except http.client.HTTPException:
            continue
        assert found.status_code >= 100
        assert len(found.content) <= BODY_LIMIT


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 204 No Content\r\nServer: nginx\r\nConnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nX: a\r\nX: b\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_plain_answer_is_taken_apart_without_http_client(said, monkeypatch):
    monkeypatch.delattr(answer, "_piecemeal")
    script = Script(said)
    found = answer.read(cast(ssl.SSLSocket, script))
    assert found.is_complete
    assert found.is_reusable
    assert not script.was_asked_again


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 204 No Content\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\noks",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
    ],
)
def test_a_connection_with_something_left_on_it_does_not_serve_again(said):
    found = read(said)
    assert found.is_complete
    assert not found.is_reusable


def test_a_body_in_tiny_chunks_is_read_up_to_the_limit():
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * (BODY_LIMIT + 10)
    found = read(said)
    assert found.content == b"y" * BODY_LIMIT
    assert found.is_complete
    assert not found.is_reusable
