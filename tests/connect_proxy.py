"""A real HTTP proxy on loopback that knows CONNECT alone, and writes down what it was asked."""

import socket
import threading
from contextlib import suppress
from typing import Self


class ConnectProxy:
    """Use it as a context manager; `asked` holds the head of each request, as lines."""

    def __init__(self, *, status: str = "200 Connection established") -> None:
        self.status = status
        self.asked: list[list[str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream, suppress(OSError):
            lines = []
            while line := stream.readline().decode().strip():
                lines.append(line)
            self.asked.append(lines)
            client.sendall(f"HTTP/1.1 {self.status}\r\nVia: test\r\n\r\n".encode())
            if not self.status.startswith("200"):
                return
            host, _, port = lines[0].split()[1].rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), 5) as server:
                there = threading.Thread(target=_pass_on, args=(stream, server), daemon=True)
                there.start()
                with server.makefile("rb") as answers:
                    _pass_on(answers, client)


def _pass_on(source, target) -> None:
    with suppress(OSError, ValueError):
        while piece := source.read1(65_536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
