"""HTTPS to servers that an administrator named: a requests.Session over connections that only the guard opens.

1. Each exchange is under a wall clock, from looking up the name to the last byte of the answer.
2. What fails before anything was sent is Unreached; what fails afterwards is Lost: the other side may have it.
3. No redirects, no .netrc, nothing but https; a proxy is that of OUTBOUND_PROXY, none from the environment.
"""

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError

from . import guard, proxy
from .deadline import Deadline
from .tls import client_context

BODY_LIMIT = 64 * 1024
IDLE_SECONDS = 10.0
_SETTING = "OUTBOUND_ALLOWED_NETWORKS"


class Unreached(Exception):  # noqa: N818 - named for the fact
    """Nothing was sent: there is no connection. `error_class` is as in SendResult."""

    def __init__(self, error_class: str, text: str) -> None:
        super().__init__(text)
        self.error_class = error_class


class Lost(Exception):  # noqa: N818 - named for the fact
    """The request was sent and its answer did not come, or not whole."""

    def __init__(self, error_class: str, text: str) -> None:
        super().__init__(text)
        self.error_class = error_class


class _Exchange(threading.local):
    """What bounds the exchange that this thread is in, and what goes with it."""

    deadline: Deadline | None = None
    connect_seconds = 10.0
    address = ""
    is_cut = False  # the answer was longer than BODY_LIMIT
    headers: Mapping[str, str] = MappingProxyType({})

    def begin(self, deadline: Deadline, connect_seconds: float) -> None:
        """From now on this bounds what the thread asks."""
        self.deadline, self.connect_seconds = deadline, connect_seconds
        self.address, self.headers, self.is_cut = "", {}, False

    def end(self) -> None:
        """Nothing may be asked any more."""
        self.deadline, self.headers = None, {}

    @property
    def is_late(self) -> bool:
        """Whether the exchange was cut; it is over now in any case."""
        return self.deadline is not None and not self.deadline.finish()


current = _Exchange()


class _Connection(HTTPSConnection):
    used_at = 0.0
    address = ""

    def _new_conn(self) -> socket.socket:
        deadline = current.deadline
        assert deadline is not None, "within an exchange only"
        try:
            sock = guard.connect(
                self.host,
                self.port or 443,
                timeout=min(current.connect_seconds, deadline.remaining()),
                allowed_networks=guard.networks(tuple(settings.OUTBOUND_ALLOWED_NETWORKS), _SETTING),
                connect_to=guard.connect_to_map(tuple(settings.OUTBOUND_CONNECT_TO)),
                setting=_SETTING,
                proxy=proxy.parse(settings.OUTBOUND_PROXY),
            )
        except (guard.AddressRefused, OSError) as error:
            raise Unreached(*guard.fault(self.host, error)) from error
        self.address = guard.show(sock.getpeername())  # TLS would tell that of the proxy
        deadline.watch(sock)
        sock.settimeout(None)  # the deadline bounds it
        return sock

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            why = f"The certificate of {self.host} is not trusted: {error.verify_message}."
            raise Unreached("tls", why) from error
        except (ssl.SSLError, OSError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else ""
            why = (reason or "it broke off").replace("_", " ").lower()
            kind = "tls" if reason else "connect"
            raise Unreached(kind, f"The TLS handshake with {self.host} failed: {why}.") from error


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection

    def _validate_conn(self, conn: Any) -> None:
        if conn.sock is not None and time.monotonic() - conn.used_at > IDLE_SECONDS:
            conn.close()
        if conn.sock is None:
            super()._validate_conn(conn)
        deadline = current.deadline
        assert deadline is not None, "within an exchange only"
        deadline.watch(conn.sock)
        current.address = conn.address

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.used_at = time.monotonic()
            # Cut, it must not serve the next one; done, it is never cut.
            if current.is_late:
                conn.close()
        super()._put_conn(conn)


class _Adapter(HTTPAdapter):
    def __init__(self, ca_certificate: str = "") -> None:
        self._ca_certificate = ca_certificate
        super().__init__(pool_connections=4, pool_maxsize=64)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        context = client_context("https", self._ca_certificate, settings.OUTBOUND_CA_BUNDLE)
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=context, **kwargs
        )
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_options: Any) -> Any:
        return self.poolmanager.connection_from_url(request.url)

    def cert_verify(self, *_args: Any, **_options: Any) -> None:
        """TLS is the pool manager's, and always verified."""

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> requests.Response:
        """Send, and read the answer up to its limit. Unreached, or Lost."""
        host = request.url.split("/")[2] if request.url else ""
        request.headers.update(current.headers)
        late = f"{host} did not answer within the time that it is given."
        broken = f"{host} broke off before it had answered, or answered with something that is not HTTP."
        try:
            response = super().send(request, stream=True)
            content = response.raw.read(BODY_LIMIT, decode_content=True)
            if response.raw.read(1):
                current.is_cut = True
                response.close()
            else:
                response.raw.release_conn()
        except Unreached as error:
            if current.is_late:
                raise Unreached("timeout", f"No connection to {host} in time.") from error
            raise
        except (requests.RequestException, HTTPError, OSError) as error:
            if current.is_late:
                raise Lost("timeout", late) from error
            raise Lost("reset", broken) from error
        if current.is_late:
            raise Lost("timeout", late)
        cast(Any, response)._content, cast(Any, response)._content_consumed = content, True
        return response


class GuardedSession(requests.Session):
    """What anymail takes for a plain session.

    ssl.SSLError, OSError or ValueError where the CA certificate to trust cannot be read.
    """

    def __init__(self, ca_certificate: str = "") -> None:
        super().__init__()
        self.trust_env = False
        self.adapters.clear()
        self.mount("https://", _Adapter(ca_certificate))

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send without following a redirect."""
        return super().request(*args, **(kwargs | {"allow_redirects": False}))
