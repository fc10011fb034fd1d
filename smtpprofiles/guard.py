"""The address guard: the only way in which this product opens a connection to a name someone typed in.

1. The name is resolved here, and refused if *any* of its addresses is forbidden: whoever controls a
   name could otherwise mix a private address among public ones.
2. The connection goes to those very addresses, so nothing changes between check and use.
3. TLS still checks the certificate against the name.
"""

import queue
import re
import socket
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, ip_address

from django.core.exceptions import ImproperlyConfigured

from .address_rules import Address, Network, forbidden, parse_networks
from .proxy import Proxy, tunnel

Sockaddr = tuple[str, int] | tuple[str, int, int, int]
VettedAddress = tuple[socket.AddressFamily, Sockaddr]
Resolver = Callable[[str, int, float], list[VettedAddress]]
ConnectTo = Mapping[tuple[str, int], tuple[str, int]]

# A resolver that hangs may hold this many threads, and no more.
_LOOK_UPS = threading.BoundedSemaphore(64)
_NUMERIC_LABEL = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)")
_IPV4_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))


class Observer:
    """Is told how far a connection has come. This one does not care."""

    def resolved(self, addresses: Sequence[VettedAddress]) -> None:
        """The name leads to these addresses, which are not vetted yet."""

    def permitted(self, *, is_mapped: bool) -> None:
        """All of them may be connected to; is_mapped: since the operator named this host and port."""

    def tried(self, sockaddr: Sequence[object], failure: OSError | None) -> None:
        """One of them answered, or why it did not."""


_NOBODY = Observer()


class AddressRefused(Exception):  # noqa: N818 - named for the fact
    """A host leads where this product does not connect; the text names host, address, rule and remedy."""

    def __init__(self, host: str, address: str, rule: str, remedy: str) -> None:
        super().__init__(f"{host} was refused: {address} is {rule}. {remedy}")
        self.host, self.address, self.rule = host, address, rule


def networks(values: Iterable[str], setting: str) -> tuple[Network, ...]:
    """The networks of an allow-list setting; ImproperlyConfigured names the entry that is none."""
    try:
        return parse_networks(values)
    except ValueError as error:
        raise ImproperlyConfigured(f"{setting}: {error}. Write networks such as 10.0.0.0/8.") from error


def connect_to_map(entries: Iterable[str]) -> ConnectTo:
    """`host:443=127.0.0.1:9443` entries as {(host, port): (host, port)}."""
    mapping = {}
    for entry in entries:
        try:
            (name, port), (to_name, to_port) = (side.rsplit(":", 1) for side in entry.strip().split("="))
            mapping[name.lower(), int(port)] = to_name.strip("[]"), int(to_port)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"OUTBOUND_CONNECT_TO: {entry!r} should look like receiver.example.test:443=127.0.0.1:9443."
            ) from error
    return mapping


def literal_address(host: str) -> Address | None:
    """The address that a host is a spelling of (dotted, decimal, hex, octal, [IPv6]); None for a name.

    ValueError where it looks like an address and is none, such as 1.2.3.4.5: no such name exists.
    """
    plain = unicodedata.normalize("NFKC", host).translate(_IPV4_DOTS).strip("[]").removesuffix(".")
    try:
        return ip_address(plain)
    except ValueError:
        pass
    if ":" in plain:
        raise ValueError(f"{host} is neither a host name nor an address")
    if not _NUMERIC_LABEL.fullmatch(plain.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(socket.inet_aton(plain))
    except OSError:
        raise ValueError(f"{host} is neither a host name nor an address") from None


def resolve(host: str, port: int, timeout: float) -> list[VettedAddress]:
    """All addresses of a name, in the system's order, within `timeout` seconds; not vetted yet."""
    answers: queue.SimpleQueue[list[VettedAddress] | Exception] = queue.SimpleQueue()
    late = TimeoutError(f"the name {host} was not resolved within {timeout:.1f} seconds")
    end = time.monotonic() + timeout
    if not _LOOK_UPS.acquire(timeout=timeout):
        raise late

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([(family, sockaddr) for family, _, _, _, sockaddr in found])  # type: ignore[misc]
        except (OSError, UnicodeError) as error:
            answers.put(error)
        finally:
            _LOOK_UPS.release()

    # getaddrinfo has no time-out of its own and cannot be interrupted.
    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, end - time.monotonic()))
    except queue.Empty:
        raise late from None
    if isinstance(answer, UnicodeError):
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is not a host name") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def vetted_addresses(
    host: str,
    port: int,
    allowed_networks: Sequence[Network] = (),
    *,
    timeout: float = 5.0,
    setting: str = "OUTBOUND_ALLOWED_NETWORKS",
    resolver: Resolver = resolve,
    observer: Observer = _NOBODY,
) -> list[VettedAddress]:
    """The addresses of a host, all of them permitted.

    AddressRefused if any is not, or if the host is itself an address that `setting` does not open;
    socket.gaierror for an unknown name; TimeoutError.
    """
    remedy = f"If this receiver is meant, an operator adds its network to {setting}."
    try:
        literal = literal_address(host)
    except ValueError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    if literal is not None:
        listed = any(
            literal.version == network.version and literal in network for network in allowed_networks
        )
        if not listed:
            raise AddressRefused(
                host, str(literal), forbidden(literal) or "an address where a name belongs",
                f"Use a host name, or have an operator add the network to {setting}.",
            )  # fmt: skip
        host = str(literal)
    found = resolver(host, port, timeout)
    observer.resolved(found)
    for _, sockaddr in found:
        address = ip_address(str(sockaddr[0]))
        if rule := forbidden(address, allowed_networks):
            raise AddressRefused(host, str(address), rule, remedy)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, f"{host} has no address")
    return found


def connect(
    host: str,
    port: int,
    *,
    timeout: float,
    allowed_networks: Sequence[Network] = (),
    connect_to: ConnectTo | None = None,
    setting: str = "OUTBOUND_ALLOWED_NETWORKS",
    resolver: Resolver = resolve,
    observer: Observer = _NOBODY,
    proxy: Proxy | None = None,
) -> socket.socket:
    """A TCP connection to the first vetted address that answers, within `timeout` seconds in all.

    With a proxy it goes through that one, to an address that was resolved and vetted here all the same.
    AddressRefused, socket.gaierror, TimeoutError, or the OSError of the last address tried.
    """
    end = time.monotonic() + timeout
    mapped = (connect_to or {}).get((host.lower().removesuffix("."), port))
    if mapped:
        # The operator named this very host and port; that is the permission.
        addresses = resolver(*mapped, timeout)
        observer.resolved(addresses)
    else:
        addresses = vetted_addresses(
            host,
            port,
            allowed_networks,
            timeout=timeout,
            setting=setting,
            resolver=resolver,
            observer=observer,
        )
    observer.permitted(is_mapped=bool(mapped))
    failure: OSError | None = None
    for position, (family, sockaddr) in enumerate(addresses):
        share = (end - time.monotonic()) / (len(addresses) - position)
        if share <= 0:
            break
        try:
            sock = tunnel(proxy, sockaddr, timeout=share) if proxy else _direct(family, sockaddr, share)
            observer.tried(sockaddr, None)
            return sock
        except TimeoutError as error:
            failure = TimeoutError(
                f"{error} ({show(sockaddr)})" if proxy else f"no answer from {show(sockaddr)}"
            )
        except OSError as error:
            failure = OSError(error.errno, f"{error.strerror} ({show(sockaddr)})")
        observer.tried(sockaddr, failure)
    raise failure or TimeoutError(f"no connection to {host} within {timeout:.1f} seconds")


def _direct(family: socket.AddressFamily, sockaddr: Sockaddr, timeout: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(sockaddr)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def show(sockaddr: Sequence[object]) -> str:
    """A socket address as `203.0.113.7:443` or `[2001:db8::1]:443`."""
    address, port = str(sockaddr[0]), sockaddr[1]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def fault(host: str, error: AddressRefused | OSError) -> tuple[str, str]:
    """Return the error class and the sentence for a connection that `connect` could not make."""
    if isinstance(error, AddressRefused):
        return "address_refused", str(error)
    if isinstance(error, socket.gaierror):
        return "dns", f"The name {host} was not resolved: {error.strerror}."
    if isinstance(error, TimeoutError):
        return "timeout", f"No connection to {host} in time: {error}."
    return "connect", f"No connection to {host}: {error.strerror}."
