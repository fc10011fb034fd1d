"""The product's own processes, and whether its web server answers."""

import http.client
import os
import socket
import sys

import structlog
from django.db import DatabaseError

from notifications.runners import CLUSTER_VARIABLE, ask_to_stop

from .supervise import Child

log = structlog.get_logger(__name__)

DELIVERY = "delivery"
_CLUSTER_GRACE = 20.0
_WEB_GRACE = 5.0


def children(web: socket.socket, base_url: str) -> tuple[Child, ...]:
    """Return the web server on the bound socket, and the two clusters."""
    cluster = (sys.executable, "manage.py", "qcluster")
    address = {"BASE_URL": base_url}
    gunicorn = (
        sys.executable, "-m", "gunicorn", "project.wsgi:application", f"--bind=fd://{web.fileno()}",
        "--worker-class=gthread", "--workers=2", "--threads=4", "--graceful-timeout=4", "--no-control-socket",
    )  # fmt: skip
    return (
        Child(name="web", command=gunicorn, environment=address, inherits=(web.fileno(),), grace=_WEB_GRACE),
        Child(
            name=DELIVERY,
            command=cluster,
            environment={**address, "Q_CLUSTER_NAME": DELIVERY, CLUSTER_VARIABLE: _name()},
            grace=_CLUSTER_GRACE,
            hurry=_hurry,
        ),
        Child(name="default", command=cluster, environment=address, grace=_CLUSTER_GRACE),
    )


def _name() -> str:
    """Return what the rows of this product's workers are known by."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _hurry() -> None:
    """Ask the workers to end now: django-q2 waits for its tasks, and a drain waits for work."""
    try:
        ask_to_stop(_name())
    except DatabaseError as error:
        log.warning("workers not asked to stop; they end with their budget", error=str(error))


def local_url(web: socket.socket) -> str:
    """Return the address under which this machine reaches the bound socket."""
    host, port = web.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  Compared, not bound to.
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def answers(web: socket.socket) -> bool:
    """Whether the web server answers, whatever it says."""
    connection = http.client.HTTPConnection(local_url(web).removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
