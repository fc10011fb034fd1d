"""A proxy before PostgreSQL that cuts connections at the worst moment: when a statement is on its way.

It forwards whole messages of the protocol, and so knows what each says. The cut comes after the server
has the statement and before the client has the answer: the client cannot know whether it was carried out.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_SSL, _GSS = 80877103, 80877104  # requests to encrypt, which come before the start-up message


@dataclass
class CuttingProxy:
    """Listens on a loopback port; `cuts` decides, for each statement, whether its answer is cut off."""

    server: str  # the path of PostgreSQL's Unix socket
    cuts: Callable[[bytes], bool]
    port: int = 0
    count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: set[socket.socket] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                _shut(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.server)
            with self._lock:
                self._open |= {client, server}
            gone = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, gone), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server, gone), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, gone: threading.Event) -> None:
        """Pass on what the client sends; after a statement that is to be cut, the client is gone."""
        with suppress(OSError), client.makefile("rb") as stream:
            while head := stream.read(4):  # before the session: length and body, without a kind
                [length] = struct.unpack("!I", head)
                body = stream.read(length - 4)
                server.sendall(head + body)
                if struct.unpack("!I", body[:4])[0] not in (_SSL, _GSS):
                    break
            wanted = False
            while head := stream.read(5):
                kind, length = struct.unpack("!cI", head)
                body = stream.read(length - 4)
                # A text, or the values of a prepared one, which is carried out with the Sync that follows.
                if kind in (b"Q", b"B"):
                    wanted = self._decide(body)
                cut = wanted and kind in (b"Q", b"S")
                if cut:
                    gone.set()  # before the answer can come
                server.sendall(head + body)
                if cut:
                    _shut(client)
                    return  # the server is left to finish; its answer goes nowhere
        if not gone.is_set():
            _shut(server)

    def _decide(self, statement: bytes) -> bool:
        with self._lock:
            cut = self.cuts(statement)
            self.count += cut
        return cut

    def _answer(self, client: socket.socket, server: socket.socket, gone: threading.Event) -> None:
        """Pass on what the server says; once the client is gone, until the statement's end."""
        with suppress(OSError):
            while data := server.recv(65_536):
                if gone.is_set():
                    # ReadyForQuery ends every answer.
                    if data[-6:-1] == b"Z\x00\x00\x00\x05":
                        break
                    continue
                client.sendall(data)
        _shut(client)
        _shut(server)
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
