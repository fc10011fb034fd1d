"""One HTTPS POST to a server that an administrator named: guarded, verified, bounded, never redirected."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings

from . import guard, proxy
from .deadline import Deadline
from .tls import client_context

BODY_LIMIT = 64 * 1024  # bytes of an answer that are read; a longer one is none


class Unreachable(Exception):  # noqa: N818 - named for the fact
    """There was no answer; says why in a sentence."""


class Misconfigured(Unreachable):
    """There was no answer, and there will be none until somebody changes what is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsAnswer:
    """A final answer, read to its end."""

    status: int
    fields: Mapping[str, str]  # by lower-case name
    content: bytes = field(repr=False)


def post(
    url: str, *, body: bytes, headers: Mapping[str, str], seconds: float, ca_certificate: str = ""
) -> HttpsAnswer:
    """POST once and return the answer, within `seconds` in all. Unreachable, or Misconfigured, says why not."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    try:
        context = client_context("https", ca_certificate, settings.OUTBOUND_CA_BUNDLE)
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured(f"The CA certificate to trust for {host} cannot be read.") from error
    late = Unreachable(f"{host} did not answer within {seconds:.1f} seconds.")
    with Deadline(seconds) as deadline:
        connection = http.client.HTTPSConnection(host, port, context=context)
        try:
            connection.sock = _connect(host, port, context, deadline)
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            content = response.read(BODY_LIMIT + 1)
            answer = HttpsAnswer(
                status=response.status,
                fields={name.lower(): value for name, value in response.getheaders()},
                content=content,
            )
        except (TimeoutError, http.client.HTTPException, OSError) as error:
            if not deadline.finish() or isinstance(error, TimeoutError):
                raise late from error
            raise Unreachable(_why(host, error)) from error
        finally:
            connection.close()
        if not deadline.finish():
            raise late
    if len(content) > BODY_LIMIT:
        raise Unreachable(f"The answer of {host} has more than {BODY_LIMIT:,} bytes.")
    return answer


def _connect(host: str, port: int, context: ssl.SSLContext, deadline: Deadline) -> ssl.SSLSocket:
    setting = "OUTBOUND_ALLOWED_NETWORKS"
    try:
        sock = guard.connect(
            host,
            port,
            timeout=deadline.remaining(),
            allowed_networks=guard.networks(settings.OUTBOUND_ALLOWED_NETWORKS, setting),
            connect_to=guard.connect_to_map(settings.OUTBOUND_CONNECT_TO),
            setting=setting,
            proxy=proxy.parse(settings.OUTBOUND_PROXY),
        )
    except guard.AddressRefused as error:
        raise Misconfigured(str(error)) from error
    try:
        deadline.watch(sock)
        # From here on the deadline alone bounds it, and a drip of bytes as well.
        sock.settimeout(None)
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _why(host: str, error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"The name {host} was not resolved: {error.strerror}."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {host} is not trusted: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "it broke off").replace("_", " ").lower()
        return f"The TLS handshake with {host} failed: {reason}."
    if isinstance(error, OSError) and error.strerror:
        return f"No answer from {host}: {error.strerror}."
    return f"{host} broke off, or answered with something that is not HTTP."
