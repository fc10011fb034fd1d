"""Two hosts on one machine: network namespaces with a name and an address of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A namespace; `gateway` is how it reaches this machine, `prefix` starts a command in it."""

    name: str
    namespace: str
    address: str
    gateway: str

    @property
    def prefix(self) -> list[str]:
        """What to put before a command, so that it runs on this host; its process id stays that command's."""
        named = f'hostname {self.name} && exec "$@"'
        return ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", named, "-"]


def need(tool: str, package: str) -> None:
    """Skip the test where this machine cannot run it; in CI a missing tool is a failure."""
    missing = "" if os.geteuid() == 0 else "this test needs root"
    missing = missing or ("" if shutil.which(tool) else f"this test needs {tool} (apt-get install {package})")
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Make two hosts, each with a link to this machine and to nobody else."""
    need("ip", "iproute2")
    with ExitStack() as stack:
        yield stack.enter_context(_host(1)), stack.enter_context(_host(2))


@contextmanager
def lonely_host(*addresses: str, nameserver: str) -> Iterator[Host]:
    """Make one host that has these addresses as well, and asks this name server."""
    need("ip", "iproute2")
    with _host(1) as host:
        for address in addresses:
            length = 128 if ":" in address else 32
            _ip("-n", host.namespace, "address", "add", f"{address}/{length}", "dev", "lo")
        # `ip netns exec` shows it as /etc/resolv.conf.
        folder = Path("/etc/netns") / host.namespace
        folder.mkdir(parents=True)
        try:
            (folder / "resolv.conf").write_text(f"nameserver {nameserver}\n")
            yield host
        finally:
            shutil.rmtree(folder)


@contextmanager
def _host(number: int) -> Iterator[Host]:
    # Named by this process: several runs may share the machine.
    own = os.getpid() % 65_536
    network = f"10.{own >> 8}.{own & 255}"
    host = Host(
        name=f"host-{number}",
        namespace=f"bw-{own}-{number}",
        address=f"{network}.{number * 4 + 2}",
        gateway=f"{network}.{number * 4 + 1}",
    )
    ours, theirs = f"bw{own}o{number}", f"bw{own}t{number}"
    added = _ip("netns", "add", host.namespace, check=os.environ.get("CI") == "true")
    if added.returncode:
        pytest.skip(f"this test needs the right to add network namespaces: {added.stderr.strip()}")
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", host.namespace)
        _ip("address", "add", f"{host.gateway}/30", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", host.namespace, "address", "add", f"{host.address}/30", "dev", theirs)
        _ip("-n", host.namespace, "link", "set", theirs, "up")
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        yield host
    finally:
        # Its end of the link goes with it, and so does ours.
        _ip("netns", "delete", host.namespace)


def _ip(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
