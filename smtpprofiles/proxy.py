"""The way out through an egress proxy: a CONNECT to an address that was vetted here, never to a name.

The proxy is told the address only. It resolves nothing, so nothing changes between check and use; TLS runs
through the tunnel and still checks the certificate against the name.
"""

import base64
import socket
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_LONGEST_ANSWER = 16_384  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where the proxy is, and who we are to it."""

    host: str
    port: int
    credentials: str = field(default="", repr=False)  # user:password in base64


class Tunnel(socket.socket):
    """A connection through a proxy; its peer is the address behind it."""

    far: tuple[Any, ...] = ()

    def getpeername(self) -> tuple[Any, ...]:
        """The address that the proxy was asked for."""
        return self.far or super().getpeername()


@lru_cache(maxsize=8)
def parse(url: str) -> Proxy | None:
    """The proxy of OUTBOUND_PROXY, or None where it is empty; ImproperlyConfigured, without its password."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if (
        parts.scheme != "http"
        or not host
        or not port
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ImproperlyConfigured(
            "OUTBOUND_PROXY should look like http://proxy.example.net:3128, or http://user:password@… "
            "with both percent-encoded."
        )
    credentials = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = base64.b64encode(pair.encode()).decode()
    return Proxy(host=host, port=port, credentials=credentials)


def tunnel(proxy: Proxy, sockaddr: tuple[Any, ...], *, timeout: float) -> socket.socket:
    """A connection to an address, through the proxy, within `timeout` seconds. TimeoutError or OSError."""
    end = time.monotonic() + timeout
    late = TimeoutError("no answer from the proxy of OUTBOUND_PROXY")
    try:
        near = socket.create_connection((proxy.host, proxy.port), timeout)
    except TimeoutError:
        raise late from None
    except OSError as error:
        raise OSError(error.errno, f"the proxy of OUTBOUND_PROXY is not reached: {error.strerror}") from error
    sock = Tunnel(fileno=near.detach())
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _ask(sock, proxy, sockaddr, end)
    except TimeoutError:
        sock.close()
        raise late from None
    except BaseException:
        sock.close()
        raise
    sock.far = sockaddr
    return sock


def _ask(sock: socket.socket, proxy: Proxy, sockaddr: tuple[Any, ...], end: float) -> None:
    address = str(sockaddr[0])
    where = f"[{address}]:{sockaddr[1]}" if ":" in address else f"{address}:{sockaddr[1]}"
    who = f"Proxy-Authorization: Basic {proxy.credentials}\r\n" if proxy.credentials else ""
    sock.settimeout(max(0.001, end - time.monotonic()))
    sock.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{who}\r\n".encode())
    answer = b""
    # Byte by byte: what follows the head belongs to TLS already.
    while not answer.endswith(b"\r\n\r\n"):
        sock.settimeout(max(0.001, end - time.monotonic()))
        received = sock.recv(1)
        if not received or len(answer) > _LONGEST_ANSWER or time.monotonic() > end:
            raise OSError(None, "the proxy of OUTBOUND_PROXY broke off")
        answer += received
    version, _, rest = answer.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdigit():
        raise OSError(None, "the proxy of OUTBOUND_PROXY does not speak HTTP")
    if not status.startswith("2"):
        raise OSError(None, f"the proxy of OUTBOUND_PROXY answered {status} to CONNECT {where}")
