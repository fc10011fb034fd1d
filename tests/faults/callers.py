"""Sends a callout to each host of a list, by the product's own transport: `python -m tests.faults.callers`.

The hosts are one line of JSON on its input; the output is one line of JSON: what became of each, and which
of this host's addresses were connected to. Whoever gets through finds a port that closes at once.
"""

import json
import socket
import sys
import threading

import django
from django.conf import settings

settings.configure(
    SECRETS_KEYS=[],
    OUTBOUND_CA_BUNDLE="",
    OUTBOUND_ALLOWED_NETWORKS=[],
    OUTBOUND_CONNECT_TO=[],
    OUTBOUND_PROXY="",
    INSTALLED_APPS=[],
)
django.setup()

from notifications.transports.base import Message  # noqa: E402
from notifications.transports.signing import new_secret  # noqa: E402
from notifications.transports.webhook import WebhookDestination, WebhookTransport  # noqa: E402
from smtpprofiles import guard  # noqa: E402


def main() -> None:
    """Call them, one after another."""
    reached: list[str] = []
    listener = socket.create_server(("::", 443), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    threading.Thread(target=_listen, args=(listener, reached), daemon=True).start()
    hosts = json.loads(sys.stdin.readline())
    found = [_call(host) for host in hosts]
    sys.stdout.write(json.dumps({"found": found, "reached": sorted(set(reached))}) + "\n")


def _listen(listener: socket.socket, reached: list[str]) -> None:
    while True:
        connection, _ = listener.accept()
        reached.append(str(connection.getsockname()[0]))
        connection.close()


def _call(host: str) -> dict[str, str]:
    if not host.isascii():
        return _connect(
            host
        )  # what is stored is ASCII; other users of the guard take names as they are typed
    destination = WebhookDestination(url=f"https://{host}/hook", secrets=(new_secret(),), timeout_seconds=5)
    outcome = WebhookTransport(destination).send(Message(id="dlv_1", body="{}"))
    return {
        "verdict": outcome.verdict,
        "error_class": outcome.error_class,
        "detail": outcome.detail,
        "address": outcome.address,
    }


def _connect(host: str) -> dict[str, str]:
    found = {"verdict": "retry", "error_class": "", "detail": "", "address": ""}
    try:
        with guard.connect(host, 443, timeout=5) as sock:
            return found | {"error_class": "tls", "address": guard.show(sock.getpeername())}
    except guard.AddressRefused as error:
        return found | {"error_class": "address_refused", "detail": str(error)}
    except socket.gaierror as error:
        return found | {"error_class": "dns", "detail": f"was not resolved: {error.strerror}"}


if __name__ == "__main__":
    main()
