"""Tell systemd how we are, where it asked to be told (Type=notify, WatchdogSec): sd_notify(3) without its library."""

import os
import socket


def tell(state: str) -> bool:
    """Send a state such as READY=1 or WATCHDOG=1; return whether anybody takes it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        # A full or missing socket must not hold us up: silence is what the watchdog is there to hear.
        notify.setblocking(False)
        try:
            notify.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return False
    return True
