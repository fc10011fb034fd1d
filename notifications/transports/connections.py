"""Connections to webhook receivers: requests' adapter with the address guard and a wall clock inside.

Everything that differs from `requests` as it comes is here:

1. The socket is opened by the guard, so the addresses that were vetted are those connected to.
2. Each exchange has a deadline that shuts its socket, while connecting, shaking hands and reading.
3. A connection failure carries its kind; after the request has begun, errors are those of requests.
4. A kept connection is dropped after a few idle seconds, before receivers close theirs: a request that
   meets a closing connection would have an unknown outcome.
"""

import http.client
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection

from smtpprofiles import guard
from smtpprofiles.deadline import Deadline
from smtpprofiles.tls import client_context

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 4.0
AGE_SECONDS = 300.0  # then the name is looked up, and vetted, again


class NotConnected(Exception):  # noqa: N818 - named for the fact
    """No request was sent: there is no connection. `error_class` is as in Outcome."""

    def __init__(self, error_class: str, detail: str) -> None:
        super().__init__(detail)
        self.error_class = error_class


class Exchange(threading.local):
    """What the connection under the current thread's request has to know, and found out."""

    deadline: Deadline | None = None
    address: str = ""


exchange = Exchange()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What two destinations must share to share connections."""

    ca_certificate: str
    ca_bundle: str
    allowed_networks: tuple[str, ...]
    connect_to: tuple[str, ...]


class FinalResponse(http.client.HTTPResponse):
    """The final answer: http.client takes every interim one but 100 for it, 103 Early Hints say (RFC 9110 §15.2)."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            # An endless row of them is ended by the deadline.
            while self.fp.readline(65_537).strip():
                pass


class GuardedConnection(HTTPSConnection):
    """An HTTPS connection that only the address guard opens."""

    response_class = FinalResponse

    def __init__(self, *args: Any, configuration: Configuration, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration = configuration
        self.address = ""
        self.opened_at = self.used_at = 0.0

    def _new_conn(self) -> socket.socket:
        deadline, port = exchange.deadline, self.port or 443
        assert deadline is not None, "connections are opened within an exchange only"
        setting = "OUTBOUND_ALLOWED_NETWORKS"
        try:
            sock = guard.connect(
                self.host,
                port,
                timeout=min(CONNECT_SECONDS, deadline.remaining()),
                allowed_networks=guard.networks(self.configuration.allowed_networks, setting),
                connect_to=guard.connect_to_map(self.configuration.connect_to),
                setting=setting,
            )
        except guard.AddressRefused as error:
            raise NotConnected("address_refused", str(error)) from error
        except socket.gaierror as error:
            raise NotConnected("dns", f"The name {self.host} was not resolved: {error.strerror}.") from error
        except TimeoutError as error:
            raise NotConnected("timeout", f"No connection to {self.host} in time: {error}.") from error
        except OSError as error:
            raise NotConnected("connect", f"No connection to {self.host}: {error.strerror}.") from error
        self.address = guard.show(sock.getpeername())
        exchange.address = self.address
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
        self.opened_at = time.monotonic()


class GuardedPool(HTTPSConnectionPool):
    """Kept connections to one host."""

    ConnectionCls = GuardedConnection

    def _validate_conn(self, conn: Any) -> None:
        now = time.monotonic()
        if conn.sock is not None:
            if now - conn.used_at > IDLE_SECONDS or now - conn.opened_at > AGE_SECONDS:
                conn.close()
            elif exchange.deadline is not None:
                exchange.deadline.watch(conn.sock)
        super()._validate_conn(conn)
        exchange.address = conn.address

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            # Before another thread may take it: from here on nothing of this exchange may cut it.
            if exchange.deadline is not None and not exchange.deadline.finish():
                conn.close()
            conn.used_at = time.monotonic()
        super()._put_conn(conn)


class GuardedAdapter(HTTPAdapter):
    """requests' adapter over guarded pools; the TLS context is built once."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        super().__init__(pool_connections=1000, pool_maxsize=64)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """A pool manager that knows guarded https, and no http at all."""
        context = client_context("https", self._configuration.ca_certificate, self._configuration.ca_bundle)
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=context, **kwargs
        )
        configuration = self._configuration

        def guarded_pool(host: str, port: int | None = None, **options: Any) -> GuardedPool:
            return GuardedPool(host, port, configuration=configuration, **options)

        self.poolmanager.pool_classes_by_scheme = {"https": guarded_pool}

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_options: Any) -> Any:
        """The pool of the request's host: only the host tells pools apart, TLS is the manager's."""
        host = request.url.split("/", 3)[2]
        return self.poolmanager.connection_from_host(host, 443, "https")

    def request_url(self, request: Any, _proxies: Any) -> str:
        """Path and query: there is no proxy, and an URL of ours always has a path."""
        return f"/{request.url.split('/', 3)[3]}"

    def build_response(self, request: Any, raw: Any) -> requests.Response:
        """What the caller looks at: parsing cookies and guessing an encoding would serve nobody."""
        response = requests.Response()
        response.status_code, response.raw, response.url = raw.status, raw, request.url
        response.headers = raw.headers
        return response

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to set per request: the context verifies, always."""


_adapters: dict[Configuration, GuardedAdapter] = {}
_lock = threading.Lock()


def adapter(ca_certificate: str) -> GuardedAdapter:
    """The adapter for destinations of one configuration, with the connections they share.

    ssl.SSLError or OSError where the certificates to trust cannot be loaded.
    """
    configuration = Configuration(
        ca_certificate=ca_certificate,
        ca_bundle=settings.OUTBOUND_CA_BUNDLE,
        allowed_networks=tuple(settings.OUTBOUND_ALLOWED_NETWORKS),
        connect_to=tuple(settings.OUTBOUND_CONNECT_TO),
    )
    found = _adapters.get(configuration)
    if found is None:
        with _lock:
            found = _adapters.get(configuration)
            if found is None:
                found = _adapters[configuration] = GuardedAdapter(configuration)
    return found


def close_all() -> None:
    """Close every kept connection of this process."""
    with _lock:
        for found in _adapters.values():
            found.close()
        _adapters.clear()


def _start_afresh() -> None:
    global _adapters, _lock
    _adapters, _lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_start_afresh)
