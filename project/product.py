"""The product's own processes, and whether its web server answers."""

import http.client
import socket
import sys
from collections.abc import Mapping

from notifications.nudge import DELIVERY
from notifications.runners import CLUSTER_VARIABLE

from .hardened import GRACE
from .supervise import Child

DEFAULT = "default"
CLUSTERS = (DELIVERY, DEFAULT)
# A cluster ends itself within its grace; the shim kills what did not.
_CLUSTER_GRACE = GRACE + 2
_WEB_GRACE = 5.0


def clusters(name: str, environment: Mapping[str, str]) -> tuple[Child, ...]:
    """Return this host's two clusters, known to all hosts by `name`; see `notifications.runners.new_name`."""
    return tuple(
        Child(
            name=queue,
            command=(sys.executable, "manage.py", "qcluster"),
            environment={**environment, "Q_CLUSTER_NAME": queue, CLUSTER_VARIABLE: name},
            grace=_CLUSTER_GRACE,
        )
        for queue in CLUSTERS
    )


def web_server(web: socket.socket, environment: Mapping[str, str]) -> Child:
    """Return the web server on the bound socket."""
    gunicorn = (
        sys.executable, "-m", "gunicorn", "project.wsgi:application", f"--bind=fd://{web.fileno()}",
        "--worker-class=gthread", "--workers=2", "--threads=4", "--graceful-timeout=4", "--no-control-socket",
    )  # fmt: skip
    return Child(
        name="web", command=gunicorn, environment=environment, inherits=(web.fileno(),), grace=_WEB_GRACE
    )


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
