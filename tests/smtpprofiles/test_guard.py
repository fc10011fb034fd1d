import socket
import time
from ipaddress import ip_address, ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured

from smtpprofiles.address_rules import IPV4_RULES, IPV6_RULES, embedded_ipv4, forbidden
from smtpprofiles.guard import (
    AddressRefused,
    connect,
    connect_to_map,
    literal_address,
    networks,
    resolve,
    vetted_addresses,
)

PERMITTED = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255
169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.15
2001:4860:4860::8888 2606:4700::1111 2a00:1450:4001::1 2001:200::1 2620:4f:8001::1 2003::1 3ffd::1
"""

FORBIDDEN = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 127.255.255.254
169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 168.63.129.16 192.0.0.1 192.0.0.9 192.0.0.170
192.0.0.192 192.0.2.1
192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1
198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:10.0.0.1 ::ffff:0:7f00:1
64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 64:ff9b:1::7f00:1 100::1 100:0:0:1::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1
2001:1ff::1 2001:db8::1 2002:7f00:1::
2002:7f00:1::1 2002:808:808::1 2620:4f:8000::1 3ffe::1 3fff::1 3fff:fff::1 4000::1 5f00::1 a000::1 fc00::1
fd00::1 fd00:ec2::254 fe00::1 fe80::1 febf::1 fec0::1 feff::1 ff00::1 ff02::1 ff0e::1
2a00:1450::5efe:7f00:1 2a00:1450::200:5efe:a00:1
"""


@pytest.mark.parametrize("address", PERMITTED.split())
def test_an_ordinary_address_is_permitted(address):
    assert forbidden(ip_address(address)) == ""


@pytest.mark.parametrize("address", FORBIDDEN.split())
def test_a_special_address_is_forbidden_with_its_rule(address):
    assert forbidden(ip_address(address))


@pytest.mark.parametrize("rule", [*IPV4_RULES, *IPV6_RULES], ids=lambda rule: str(rule[0]))
def test_every_network_of_the_tables_is_forbidden_at_both_ends(rule):
    network, _ = rule
    assert forbidden(network[0])
    assert forbidden(network[-1])


@pytest.mark.parametrize(
    ("address", "inner"),
    [
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::1.2.3.4", "1.2.3.4"),
        ("64:ff9b::1.2.3.4", "1.2.3.4"),
        ("2002:102:304::", "1.2.3.4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
        ("fe80::5efe:102:304", "1.2.3.4"),
        ("2a00::1", None),
        ("::1", None),
    ],
)
def test_the_ipv4_address_inside_an_ipv6_one_is_found(address, inner):
    assert embedded_ipv4(ip_address(address)) == (ip_address(inner) if inner else None)


def test_an_allow_list_opens_its_networks_and_nothing_else():
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    assert forbidden(ip_address("10.1.2.3"), allowed) == ""
    assert forbidden(ip_address("fd00::1"), allowed) == ""
    assert forbidden(ip_address("10.2.0.1"), allowed)
    assert forbidden(ip_address("fe80::1"), allowed)


def test_opening_nat64_does_not_open_the_private_addresses_behind_it():
    allowed = [ip_network("64:ff9b::/96")]
    assert forbidden(ip_address("64:ff9b::8.8.8.8"), allowed) == ""
    assert "loopback" in forbidden(ip_address("64:ff9b::127.0.0.1"), allowed)
    assert forbidden(ip_address("::ffff:127.0.0.1"), [ip_network("::/0")])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0x7F.1", "0177.0.0.1", "127.1", "017700000001", "127.0.0.1.",
     "\uff11\uff12\uff17.0.0.1", "127。0。0。1"],
)  # fmt: skip
def test_every_spelling_of_an_address_is_recognised(host):
    assert literal_address(host) == ip_address("127.0.0.1")


@pytest.mark.parametrize("host", ["example.com", "1.example.com", "0x7f.example", "a1", "example.com."])
def test_a_name_is_not_taken_for_an_address(host):
    assert literal_address(host) is None


@pytest.mark.parametrize("host", ["1.2.3.4.5", "256.1.1.1", "1.2.3.0x", "fe80::g", "example.0x1"])
def test_what_is_neither_is_no_host(host):
    with pytest.raises(ValueError, match="neither a host name nor an address"):
        literal_address(host)
    with pytest.raises(socket.gaierror):
        vetted_addresses(host, 443)


def answers(*addresses):
    def resolver(host, port, timeout):
        return [
            (socket.AF_INET6, (address, port, 0, 0)) if ":" in address else (socket.AF_INET, (address, port))
            for address in addresses
        ]

    return resolver


def test_one_forbidden_address_among_good_ones_refuses_the_name():
    with pytest.raises(AddressRefused) as caught:
        vetted_addresses("mixed.example.test", 443, resolver=answers("8.8.8.8", "10.0.0.7", "1.1.1.1"))
    assert str(caught.value) == (
        "mixed.example.test was refused: 10.0.0.7 is private (10.0.0.0/8). "
        "If this receiver is meant, an operator adds its network to OUTBOUND_ALLOWED_NETWORKS."
    )


def test_good_addresses_are_returned_in_the_order_of_the_resolver():
    found = vetted_addresses("good.example.test", 443, resolver=answers("8.8.8.8", "2606:4700::1111"))
    assert [sockaddr[:2] for _, sockaddr in found] == [("8.8.8.8", 443), ("2606:4700::1111", 443)]


def test_the_allow_lists_of_webhooks_and_mail_are_named_each():
    with pytest.raises(AddressRefused, match="SMTP_ALLOWED_NETWORKS"):
        vetted_addresses(
            "mail.example.test", 25, setting="SMTP_ALLOWED_NETWORKS", resolver=answers("10.0.0.1")
        )


@pytest.mark.parametrize("host", ["8.8.8.8", "134744072", "[2606:4700::1111]"])
def test_an_address_in_the_place_of_a_name_is_refused_unless_it_is_listed(host):
    with pytest.raises(AddressRefused, match="Use a host name"):
        vetted_addresses(host, 443)
    allowed = [ip_network("8.8.8.0/24"), ip_network("2606:4700::/32")]
    assert vetted_addresses(host, 443, allowed)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_next_address_is_tried_where_the_first_does_not_answer(listener):
    loopback = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
    resolver = answers("::1", "127.0.0.1")
    with connect(
        "two.example.test", listener, timeout=2, allowed_networks=loopback, resolver=resolver
    ) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


def test_a_refused_connection_names_the_address():
    loopback = [ip_network("127.0.0.0/8")]
    with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1:1\b"):
        connect("one.example.test", 1, timeout=2, allowed_networks=loopback, resolver=answers("127.0.0.1"))


def test_a_mapping_leads_exactly_its_host_and_port_past_the_guard(listener):
    mapping = connect_to_map([f"Receiver.example.test:443=127.0.0.1:{listener}"])
    connect("receiver.example.test", 443, timeout=2, connect_to=mapping).close()
    connect("RECEIVER.example.test.", 443, timeout=2, connect_to=mapping).close()
    with pytest.raises(AddressRefused):
        connect("receiver.example.test", 444, timeout=2, connect_to=mapping, resolver=answers("127.0.0.1"))
    with pytest.raises(AddressRefused):
        connect("other.example.test", 443, timeout=2, connect_to=mapping, resolver=answers("127.0.0.1"))


def test_localhost_is_refused():
    with pytest.raises(AddressRefused, match="loopback"):
        connect("localhost", 443, timeout=2)


def test_a_name_that_no_resolver_takes_is_an_unknown_name():
    with pytest.raises(socket.gaierror):
        resolve("a" * 64 + ".example.test", 443, 2)


def test_settings_that_are_no_networks_or_mappings_are_named():
    with pytest.raises(ImproperlyConfigured, match="SMTP_ALLOWED_NETWORKS"):
        networks(["10.0.0.0/33"], "SMTP_ALLOWED_NETWORKS")
    with pytest.raises(ImproperlyConfigured, match="OUTBOUND_CONNECT_TO"):
        connect_to_map(["receiver.example.test=127.0.0.1"])


def test_an_address_that_never_answers_costs_its_share_of_the_time():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            connect(
                "full.example.test", port, timeout=0.4, allowed_networks=[ip_network("127.0.0.0/8")],
                resolver=answers("127.0.0.1", "127.0.0.1"),
            )  # fmt: skip
        assert 0.3 < time.monotonic() - start < 0.8
        for filler in fillers:
            filler.close()
