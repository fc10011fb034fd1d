"""The address guard at connect time: real look-ups, real sockets, and a host where every wrong way is open.

The host has a private address, a public one and those of the clouds' metadata services, and listens on all of
them; its name server answers what this table says. What the guard lets through arrives.
"""

import json
import subprocess
import sys

import pytest

from tests.faults.hosts import lonely_host
from tests.processes import ROOT

SERVER = "127.0.0.53"
PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f::14"
# What this host can be reached at, so that a guard that fails is seen to fail.
OPEN = [
    "10.0.0.7",
    "169.254.169.254",
    "168.63.129.16",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "fd00::7",
    "fec0::7",
]

# A name that leads to exactly this address → the rule that refuses it.
ADDRESSES = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "0.0.0.0": "this network",
    "0.1.2.3": "this network",
    "10.0.0.7": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "169.254.0.1": "link-local",
    "169.254.169.254": "cloud metadata",
    "168.63.129.16": "cloud metadata",
    "100.100.100.200": "cloud metadata",
    "100.64.0.1": "carrier-grade NAT",
    "100.127.255.255": "carrier-grade NAT",
    "192.0.0.1": "IETF protocol assignments",
    "192.0.0.192": "IETF protocol assignments",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "192.88.99.1": "6to4 relay",
    "192.31.196.1": "AS112",
    "192.52.193.1": "AMT",
    "192.175.48.1": "AS112",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::7f00:1": "it carries 127.0.0.1, which is loopback",
    "::808:808": "IPv4-compatible",
    "::ffff:127.0.0.1": "it carries 127.0.0.1, which is loopback",
    "::ffff:169.254.169.254": "it carries 169.254.169.254, which is cloud metadata",
    "::ffff:93.184.215.14": "IPv4-mapped",
    "::ffff:0:7f00:1": "it carries 127.0.0.1, which is loopback",
    "64:ff9b::7f00:1": "it carries 127.0.0.1, which is loopback",
    "64:ff9b::a9fe:a9fe": "it carries 169.254.169.254, which is cloud metadata",
    "64:ff9b::5db8:d70e": "NAT64",
    "64:ff9b:1::a00:7": "it carries 10.0.0.7, which is private",
    "2002:7f00:1::1": "it carries 127.0.0.1, which is loopback",
    "2002:5db8:d70e::1": "6to4",
    "2001:0:4136:e378:8000:63bf:f5ff:fff8": "it carries 10.0.0.7, which is private",
    "2001::1": "it carries 255.255.255.254, which is reserved",
    "2a00:1450::5efe:7f00:1": "it carries 127.0.0.1, which is loopback",
    "2001:2::1": "benchmarking",
    "2001:3::1": "AMT",
    "2001:4:112::1": "AS112",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHIDv2",
    "2001:30::1": "drone remote identification",
    "2001:1::1": "IETF protocol assignments",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "100::1": "discard-only",
    "3ffe::1": "6bone",
    "5f00::1": "segment routing (SRv6)",
    "fc00::1": "unique local",
    "fd00::7": "unique local",
    "fd00:ec2::254": "cloud metadata",
    "fe80::1": "link-local",
    "fec0::7": "site-local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
    "4000::1": "outside the global unicast addresses",
}
# A host as an URL may spell it → the rule that refuses it; none of them is asked of the name server.
SPELLINGS = {
    "127.0.0.1": "127.0.0.1 is loopback",
    "127.0.0.1.": "127.0.0.1 is loopback",
    "127.1": "127.0.0.1 is loopback",
    "127.0.1": "127.0.0.1 is loopback",
    "2130706433": "127.0.0.1 is loopback",
    "2130706433.": "127.0.0.1 is loopback",
    "0x7f000001": "127.0.0.1 is loopback",
    "0X7F000001": "127.0.0.1 is loopback",
    "0x7f.0.0.1": "127.0.0.1 is loopback",
    "0x7f.1": "127.0.0.1 is loopback",
    "017700000001": "127.0.0.1 is loopback",
    "0177.0.0.1": "127.0.0.1 is loopback",
    "0177.0.0.01": "127.0.0.1 is loopback",
    "0": "0.0.0.0 is this network",
    "0.0.0.0": "0.0.0.0 is this network",
    "2852039166": "169.254.169.254 is cloud metadata",
    "0xa9fea9fe": "169.254.169.254 is cloud metadata",
    "0251.0376.0251.0376": "169.254.169.254 is cloud metadata",
    "169.254.43518": "169.254.169.254 is cloud metadata",
    "0xa83f8110": "168.63.129.16 is cloud metadata",
    "10.7": "10.0.0.7 is private",
    "[::1]": "::1 is loopback",
    "[::]": ":: is unspecified",
    "[0:0:0:0:0:0:0:1]": "::1 is loopback",
    "[::ffff:127.0.0.1]": "it carries 127.0.0.1, which is loopback",
    "[::ffff:7f00:1]": "it carries 127.0.0.1, which is loopback",
    "[::127.0.0.1]": "it carries 127.0.0.1, which is loopback",
    "[64:ff9b::127.0.0.1]": "it carries 127.0.0.1, which is loopback",
    "[fd00::7]": "unique local",
    "[fe80::1%25lo]": "link-local",
    "93.184.215.14": "an address where a name belongs",
    "1572394766": "an address where a name belongs",
    "[2606:2800:21f::14]": "an address where a name belongs",
    "\uff11\uff12\uff17.0.0.1": "127.0.0.1 is loopback",
    "127\u30020\u30020\u30021": "127.0.0.1 is loopback",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460": "127.0.0.1 is loopback",
    "\uff10\uff58\uff17\uff46.1": "127.0.0.1 is loopback",
    "localhost": "is loopback",
    "LOCALHOST.": "is loopback",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3": "is loopback",
}
# A name with what its look-ups give, one after another → what becomes of each send.
NAMES = {
    "good.guard.test": ([[PUBLIC]], [PUBLIC]),
    "good6.guard.test": ([[PUBLIC_6]], [f"[{PUBLIC_6}]"]),
    "alias.guard.test": ([["=good.guard.test"]], [PUBLIC]),
    "b\u00fccher.guard.test": ([[PUBLIC]], [PUBLIC]),
    "good.guard.test.": ([[PUBLIC]], [PUBLIC]),
    "GOOD.Guard.Test": ([[PUBLIC]], [PUBLIC]),
    "mixed.guard.test": ([[PUBLIC, "10.0.0.7"]], ["10.0.0.7 is private"]),
    "mixed-last.guard.test": ([["10.0.0.7", PUBLIC]], ["10.0.0.7 is private"]),
    "mixed-six.guard.test": ([[PUBLIC, "fd00::7"]], ["fd00::7 is unique local"]),
    "mixed-four.guard.test": ([[PUBLIC_6, "127.0.0.1"]], ["127.0.0.1 is loopback"]),
    "many.guard.test": (
        [[*[f"93.184.215.{n}" for n in range(1, 20)], "169.254.169.254"]],
        ["cloud metadata"],
    ),
    "alias-in.guard.test": ([["=inside.guard.test"]], ["10.0.0.7 is private"]),
    "inside.guard.test": ([["10.0.0.7"]], ["10.0.0.7 is private"]),
    "inside.guard.test.": ([["10.0.0.7"]], ["10.0.0.7 is private"]),
    "\u00efnside.guard.test": ([["10.0.0.7"]], ["10.0.0.7 is private"]),
    "rebinding.guard.test": (
        [[PUBLIC], ["127.0.0.1"], [PUBLIC, "127.0.0.1"], [PUBLIC]],
        [PUBLIC, "127.0.0.1 is loopback", "127.0.0.1 is loopback", PUBLIC],
    ),
    "rebinding-meta.guard.test": (
        [[PUBLIC], ["169.254.169.254"]],
        [PUBLIC, "169.254.169.254 is cloud metadata"],
    ),
    "empty.guard.test": ([[]], ["was not resolved"]),
    "unknown.guard.test": ([], ["was not resolved"]),
    "1.2.3.4.5": ([], ["neither a host name nor an address"]),
    "256.1.1.1": ([], ["neither a host name nor an address"]),
    "1.2.3.08": ([], ["neither a host name nor an address"]),
}


def test_every_address_and_spelling_gets_its_verdict_when_it_is_connected_to():
    of_address = {address: f"row-{number}.guard.test" for number, address in enumerate(ADDRESSES)}
    table = [(of_address[address], rule) for address, rule in ADDRESSES.items()]
    table += list(SPELLINGS.items())
    table += [(name, verdict) for name, (_, verdicts) in NAMES.items() for verdict in verdicts]
    zone = {name: [[address]] for address, name in of_address.items()}
    for name, (turns, _) in NAMES.items():
        if turns:
            zone[name.rstrip(".").encode("idna").decode().lower()] = turns

    found, reached = call([host for host, _ in table], zone)

    wrong = []
    for (host, verdict), told in zip(table, found, strict=True):
        was_let_through = told["address"] == f"{verdict}:443" and told["error_class"] == "tls"
        is_refused = verdict in told["detail"] and told["error_class"] in ("address_refused", "dns")
        if told["verdict"] != "retry" or not (was_let_through or (is_refused and not told["address"])):
            wrong.append((host, verdict, told))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(table) >= 120
    # The listener's own word: nothing arrived anywhere else.
    assert set(reached) == {f"::ffff:{PUBLIC}", PUBLIC_6}


def call(hosts: list[str], zone: dict[str, list[list[str]]]) -> tuple[list[dict[str, str]], list[str]]:
    """Send to each host from a host of its own, with this zone; return what became of each, and who was reached."""
    with lonely_host(PUBLIC, PUBLIC_6, *OPEN, nameserver=SERVER) as host:
        names = subprocess.Popen(
            [*host.prefix, sys.executable, "-m", "tests.faults.zone", SERVER],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert names.stdin
            assert names.stdout
            names.stdin.write(json.dumps(zone) + "\n")
            names.stdin.flush()
            assert names.stdout.readline() == "ready\n"
            done = subprocess.run(
                [*host.prefix, sys.executable, "-m", "tests.faults.callers"],
                check=False,
                cwd=ROOT,
                input=json.dumps(hosts) + "\n",
                capture_output=True,
                text=True,
                timeout=100,
            )
        finally:
            names.kill()
            names.communicate()
    if done.returncode:
        pytest.fail(done.stderr, pytrace=False)
    said = json.loads(done.stdout)
    return said["found"], said["reached"]
