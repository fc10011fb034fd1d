"""One connection to a webhook receiver: how it is opened, what it carries, when it is cut.

1. The socket is opened by the guard, so the addresses that were vetted are those connected to.
2. Each callout has a deadline that shuts its socket, while connecting, shaking hands, writing and reading.
   The socket itself has no time-out after the handshake: it would cost system calls and bound nothing.
3. A connection failure carries its kind; after the request has begun, errors are those of http.client
   and the socket.
4. A request is written in one piece, once, and its answer is read at once. (A check of a receiver may ask
   for several pieces.)
"""

import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Any, NamedTuple, cast

import requests
from urllib3.connection import HTTPSConnection

from smtpprofiles import guard, proxy
from smtpprofiles.deadline import Deadline

from . import answer
from .answer import Answer
from .times import Times

CONNECT_SECONDS = 5.0


class NotConnected(Exception):  # noqa: N818 - named for the fact
    """No request was sent: there is no connection. `error_class` is as in Outcome."""

    def __init__(self, error_class: str, detail: str) -> None:
        super().__init__(detail)
        self.error_class = error_class


class Callout(requests.PreparedRequest):
    """A prepared request as the very bytes to send, what bounds it, and where it went."""

    def __init__(self, *, host: str, content: bytes, deadline: Deadline, times: Times | None = None) -> None:
        # Without super().__init__(): nothing else of it is looked at.
        self.host, self.content, self.deadline = host, content, deadline
        self.times = times or Times()
        self.address = ""  # known once there is a connection


class Configuration(NamedTuple):
    """What two destinations must share to share connections."""

    ca_certificate: str
    ca_bundle: str
    allowed_networks: tuple[str, ...]
    connect_to: tuple[str, ...]
    proxy: str = ""
    client_certificate: str = ""
    client_key: str = ""

    def __repr__(self) -> str:
        return "Configuration(…)"  # keys and the proxy's password are among its values


class GuardedConnection(HTTPSConnection):
    """An HTTPS connection that only the address guard opens."""

    def __init__(self, *args: Any, configuration: Configuration, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration = configuration
        self.callout: Callout | None = None  # the one that it serves now
        self.address = ""
        self.opened_at = self.used_at = 0.0
        self._unasked = select.poll()

    def _new_conn(self) -> socket.socket:
        callout, port = self.callout, self.port or 443
        assert callout is not None, "connections are opened for a callout only"
        deadline = callout.deadline
        setting = "OUTBOUND_ALLOWED_NETWORKS"
        callout.times.begin()
        try:
            sock = guard.connect(
                self.host,
                port,
                timeout=min(CONNECT_SECONDS, deadline.remaining()),
                allowed_networks=guard.networks(self.configuration.allowed_networks, setting),
                connect_to=guard.connect_to_map(self.configuration.connect_to),
                setting=setting,
                observer=callout.times,
                proxy=proxy.parse(self.configuration.proxy),
            )
        except (guard.AddressRefused, OSError) as error:
            raise NotConnected(*guard.fault(self.host, error)) from error
        self.address = guard.show(sock.getpeername())
        callout.address = self.address
        sock.settimeout(min(CONNECT_SECONDS, max(deadline.remaining(), 0.001)))
        deadline.watch(sock)
        return sock

    def connect(self) -> None:
        """Connect and shake hands, or raise NotConnected."""
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            why = f"The certificate of {self.host} is not trusted: {error.verify_message}."
            raise NotConnected("tls", why) from error
        except TimeoutError as error:
            raise NotConnected("timeout", f"{self.host} did not finish the TLS handshake in time.") from error
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise NotConnected("tls", f"The TLS handshake with {self.host} failed: {reason}.") from error
        except OSError as error:
            why = f"{self.host} closed the connection during the TLS handshake."
            raise NotConnected("tls", why) from error
        self.sock.settimeout(None)
        if self.callout is not None:
            self.callout.times.shook_hands(self.sock)
        self._unasked = select.poll()
        self._unasked.register(self.sock, select.POLLIN)
        self.opened_at = time.monotonic()

    def close(self) -> None:
        """Close; nothing may be shut by its number afterwards."""
        if self.callout is not None:
            self.callout.deadline.let_go()
        super().close()

    @property
    def is_connected(self) -> bool:
        """Whether it is open, and silent: what comes unasked is the end of it, or for nobody."""
        return self.sock is not None and not self._unasked.poll(0)

    def exchange(self, callout: Callout) -> Answer:
        """Send a request, and read its answer. http.client.HTTPException or OSError."""
        sock, times = cast(ssl.SSLSocket, self.sock), callout.times
        times.asked = time.monotonic()
        # A receiver may refuse early and close; its answer is there to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            if times.pause:
                _send_slowly(sock, callout)
            else:
                sock.sendall(callout.content)
            if times.is_traced:
                times.sent = time.monotonic()
        return answer.read(sock, times)


def _send_slowly(sock: ssl.SSLSocket, callout: Callout) -> None:
    """In four pieces, as a bad line would."""
    content = callout.content
    size = -(-len(content) // 4)
    for start in range(0, len(content), size):
        if start:
            time.sleep(min(callout.times.pause, callout.deadline.remaining()))
        sock.sendall(content[start : start + size])
