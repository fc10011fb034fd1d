"""Kept connections to webhook receivers: requests' adapter over urllib3's pools, and no more than that.

1. A kept connection is dropped after a few idle seconds, before receivers close theirs: a request that
   meets a closing connection would have an unknown outcome.
2. What requests and urllib3 do around an exchange for redirects, proxies, cookies and retries is left out:
   callouts want none of it, and it was four fifths of their cost.
"""

import os
import queue
import threading
import time
from collections import deque
from typing import Any, cast

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool, PoolManager

from smtpprofiles.tls import client_context

from .answer import Answer
from .connect import Callout, Configuration, GuardedConnection

IDLE_SECONDS = 4.0
AGE_SECONDS = 300.0  # then the name is looked up, and vetted, again


class _Idle(deque[Any]):
    """What urllib3 needs of a queue.LifoQueue, without its locks: a deque's own steps are atomic."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002
        try:
            return self.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        if len(self) >= self._size:
            raise queue.Full
        self.append(item)

    def qsize(self) -> int:
        return len(self)


class GuardedPool(HTTPSConnectionPool):
    """Kept connections to one host."""

    ConnectionCls = GuardedConnection
    QueueCls = _Idle  # type: ignore[assignment]

    def post(self, callout: Callout) -> Answer:
        """Send once. NotConnected before anything was sent, then http.client.HTTPException or OSError."""
        connection = cast(GuardedConnection, self._get_conn())
        connection.callout = callout
        if callout.times.is_traced:
            connection.close()  # whoever looks wants to see it connect
        try:
            self._validate_conn(connection)
            found = connection.exchange(callout)
            if not found.is_reusable or callout.times.is_traced:
                connection.close()
        except BaseException:
            connection.close()
            raise
        finally:
            self._put_conn(connection)
        return found

    def _validate_conn(self, conn: Any) -> None:
        now = time.monotonic()
        if conn.sock is not None and (
            now - conn.used_at > IDLE_SECONDS or now - conn.opened_at > AGE_SECONDS
        ):
            conn.close()
        if conn.sock is None:
            super()._validate_conn(conn)
        else:
            conn.callout.times.is_reused = True
        conn.callout.address = conn.address
        conn.callout.deadline.watch_lent(conn.sock)

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            # Before another thread may take it: from here on nothing of this callout may cut it.
            if conn.callout is not None and not conn.callout.deadline.finish():
                conn.close()
            conn.callout = None
            conn.used_at = time.monotonic()
        super()._put_conn(conn)


class GuardedAdapter(HTTPAdapter):
    """requests' adapter over guarded pools; the TLS context is built once."""

    poolmanager: PoolManager

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        super().__init__(pool_connections=1000, pool_maxsize=64)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """A pool manager that knows guarded https, and no http at all."""
        own = self._configuration
        context = client_context(
            "https", own.ca_certificate, own.ca_bundle, own.client_certificate, own.client_key
        )
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=context, **kwargs
        )
        configuration = self._configuration

        def guarded_pool(host: str, port: int | None = None, **options: Any) -> GuardedPool:
            return GuardedPool(host, port, configuration=configuration, **options)

        self.poolmanager.pool_classes_by_scheme = cast(Any, {"https": guarded_pool})

    def pool(self, host: str) -> GuardedPool:
        """The pool of a host: only the host tells pools apart, TLS is the manager's."""
        manager = self.poolmanager
        try:
            return cast(GuardedPool, manager.pools[cast(Any, host)])
        except KeyError:
            context = {**manager.connection_pool_kw, "scheme": "https", "host": host, "port": 443}
            return cast(GuardedPool, manager.connection_from_pool_key(cast(Any, host), context))

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> Answer:
        """Send a callout, with TLS always verified; errors are those of GuardedPool.post."""
        assert isinstance(request, Callout), "this adapter sends callouts only"
        return self.pool(request.host).post(request)


_adapters: dict[Configuration, GuardedAdapter] = {}
_lock = threading.Lock()


def adapter(ca_certificate: str, *, client_certificate: str = "", client_key: str = "") -> GuardedAdapter:
    """The adapter for destinations of one configuration, with the connections they share.

    ssl.SSLError, OSError or ValueError where the certificates to trust or to show cannot be loaded.
    """
    configuration = Configuration(
        ca_certificate=ca_certificate,
        ca_bundle=settings.OUTBOUND_CA_BUNDLE,
        allowed_networks=tuple(settings.OUTBOUND_ALLOWED_NETWORKS),
        connect_to=tuple(settings.OUTBOUND_CONNECT_TO),
        proxy=settings.OUTBOUND_PROXY,
        client_certificate=client_certificate,
        client_key=client_key,
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
