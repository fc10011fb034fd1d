"""Take a port for the web server."""

import errno
import socket

_TRIES = 20


class NoPortError(Exception):
    """None of the ports can be taken; the message says why."""


def listen(host: str, wanted: int) -> socket.socket:
    """Return a socket bound to `wanted`, or else to the next port of `host` that is free, among twenty.

    It is handed to the web server, so that nobody takes the port between the look and the use.
    """
    ports = range(wanted, min(wanted + _TRIES, 65536))
    for port in ports:
        taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        # Connections that are still closing are no reason to move.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as error:
            taken.close()
            if error.errno != errno.EADDRINUSE:
                reason = f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
                raise NoPortError(reason) from error
        else:
            return taken
    raise NoPortError(f"Ports {ports[0]} to {ports[-1]} of {host} are all taken. Choose another with --port.")
