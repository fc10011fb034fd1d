"""Which addresses of the internet this product never connects to unless an operator opens them.

The rows are the IANA special-purpose registries of IPv4 and IPv6, the blocks those registries leave
to other documents (multicast, site-local, IPv4-compatible) and the clouds' metadata addresses.
`ipaddress.is_global` is no substitute: on Python 3.11 it calls NAT64, 6to4, fec0::/10,
::127.0.0.1 and multicast global.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

IPV4_RULES: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), rule)
    for network, rule in (
        ("169.254.169.254/32", "cloud metadata"),
        ("168.63.129.16/32", "cloud metadata"),
        ("100.100.100.200/32", "cloud metadata"),
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)

IPV6_RULES: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), rule)
    for network, rule in (
        ("fd00:ec2::254/128", "cloud metadata"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64, local use"),
        ("100::/64", "discard-only"),
        ("100:0:0:1::/64", "dummy prefix"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001:3::/32", "AMT"),
        ("2001:4:112::/48", "AS112"),
        ("2001:10::/28", "ORCHID"),
        ("2001:20::/28", "ORCHIDv2"),
        ("2001:30::/28", "drone remote identification"),
        ("2001::/23", "IETF protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3ffe::/16", "6bone"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing (SRv6)"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)

# All addresses that were ever given out for global unicast; the rest of the space is reserved.
_GLOBAL_UNICAST = IPv6Network("2000::/3")

_ISATAP = (0x00005EFE, 0x02005EFE)


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a transition mechanism would really talk to, or None."""
    number = int(address)
    for network in ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "::/96"):
        if address in IPv6Network(network) and number > 1:
            return IPv4Address(number & 0xFFFFFFFF)
    if address in IPv6Network("64:ff9b:1::/48"):
        return IPv4Address(number & 0xFFFFFFFF)
    if address in IPv6Network("2002::/16"):
        return IPv4Address((number >> 80) & 0xFFFFFFFF)
    if address in IPv6Network("2001::/32"):
        return IPv4Address(~number & 0xFFFFFFFF)
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    return None


def forbidden(address: Address, allowed: Iterable[Network] = ()) -> str:
    """Why nothing may connect to this address, with the rule's network; empty where it may.

    An allow-listed IPv6 network that carries IPv4 addresses opens only the harmless ones among them.
    """
    allowed = tuple(allowed)
    opened = any(address.version == network.version and address in network for network in allowed)
    inner = embedded_ipv4(address) if isinstance(address, IPv6Address) else None
    if inner is not None and (reason := forbidden(inner, allowed)):
        return f"it carries {inner}, which is {reason}"
    if opened:
        return ""
    rules: tuple[tuple[Network, str], ...] = IPV4_RULES if address.version == 4 else IPV6_RULES
    for network, rule in rules:
        if address in network:
            return f"{rule} ({network})"
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "outside the global unicast addresses (2000::/3)"
    return ""


def parse_networks(values: Iterable[str]) -> tuple[Network, ...]:
    """CIDR texts as networks; ValueError names the one that is none."""
    return tuple(ip_network(value.strip()) for value in values if value.strip())
