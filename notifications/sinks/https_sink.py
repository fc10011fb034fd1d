"""A webhook receiver on this machine: real TLS, HTTP/1.1 with keep-alive, answers by script.

It needs the dependency group `demo` (trustme), and is imported only where a receiver is wanted.
"""

import io
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request, byte for byte."""

    number: int  # order of arrival over all connections, from 1
    connection: int  # which connection it came on, from 1
    method: str
    path: str  # with the query
    headers: dict[str, str]  # names in lower case
    body: bytes


Answer = tuple[int, dict[str, str], bytes]
# Or a misbehaviour: it gets the socket, does as it likes, and the connection ends.
Script = Callable[[Received], Answer | Callable[[ssl.SSLSocket], None]]


def accept(_request: Received) -> Answer:
    """The usual answer."""
    return 204, {}, b""


def reset(sock: ssl.SSLSocket) -> None:
    """A misbehaviour: abort the connection, as a crashing receiver does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=sock.detach()).close()


@dataclass(kw_only=True)
class HttpsSink:
    """A threaded HTTPS server on a free loopback port; use it as a context manager, or `start`/`stop`.

    `script` decides each answer and may be exchanged while it runs. `received` is in order of arrival.
    """

    ca: trustme.CA
    hosts: Iterable[str]
    script: Script = accept
    port: int = 0  # 0: a free one
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    def start(self) -> Self:
        """Listen, and serve in threads from now on."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.ca.issue_cert(*self.hosts).configure_cert(self._context)
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._open: set[socket.socket] = set()
        self._stopping = False
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="https-sink", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and end the connections that are open."""
        self._stopping = True
        with socket.socket() as waker:  # closing a listener does not wake the thread inside accept()
            waker.connect(("127.0.0.1", self.port))
        self._thread.join()
        self._listener.close()
        with self._lock:
            handles, self._open = self._open, set()
        for handle in handles:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def count(self) -> int:
        """How many requests have arrived."""
        return len(self.received)

    def connect_to(self, host: str) -> str:
        """The OUTBOUND_CONNECT_TO entry that leads this host name here."""
        return f"{host}:443=127.0.0.1:{self.port}"

    def wait_for(self, count: int, timeout: float = 10.0) -> bool:
        """Whether so many requests have arrived, waiting for them up to `timeout` seconds."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.received) >= count, timeout)

    def _accept(self) -> None:
        while True:
            raw, _ = self._listener.accept()
            if self._stopping:
                raw.close()
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        handle = raw.dup()
        with self._lock:
            self._open.add(handle)
            self.connections += 1
            connection = self.connections
        try:
            with self._context.wrap_socket(raw, server_side=True) as sock, sock.makefile("rb") as stream:
                while (request := self._read(stream, connection)) is not None:
                    answer = self.script(request)
                    if callable(answer):
                        answer(sock)
                        return
                    sock.sendall(_response(*answer))
        except (OSError, ValueError):
            pass  # the client went away, or does not trust us; that is its affair
        finally:
            raw.close()
            with self._lock:
                self._open.discard(handle)
            handle.close()

    def _read(self, stream: io.BufferedIOBase, connection: int) -> Received | None:
        line = stream.readline(65536)
        if not line:
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := stream.readline(65536)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        with self._arrived:
            request = Received(
                number=len(self.received) + 1,
                connection=connection,
                method=method,
                path=path,
                headers=headers,
                body=body,
            )
            self.received.append(request)
            self._arrived.notify_all()
        return request


def _response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Answer", *(f"{name}: {value}" for name, value in headers.items())]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
