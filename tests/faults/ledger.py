"""The receiver's own ledger: what arrived and what was answered, on disk before the answer left.

`Ledger` runs `tests.faults.receiver` as a process of its own, so that nothing which happens to the
product, to its database or to the test's process touches what the receiver knows.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

ROOT = Path(__file__).resolve().parents[2]
# Misbehaviours whose 200 is complete as far as anybody reads it.
ACCEPTING = ("huge_body", "gzip_bomb", "chunk_bomb")
ANY = "*"  # the rule of every host without one of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the receiver treats the requests of one host."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds before the answer
    fail: float = 0.0  # share of the requests that get `fail_status` instead
    fail_status: int = 500
    seed: int = 1  # of the choice of those
    misbehaviour: str = ""  # a name in tests.faults.misbehaviour: what it does instead of answering
    times: int | None = None  # so many requests, and the next ones are accepted; None: all
    keeps_body: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One request that arrived whole."""

    number: int  # order of arrival, from 1
    webhook_id: str
    event_id: str  # from the body
    host: str
    path: str
    lane: str = ""  # the bellwether-* headers
    sequence: int | None = None
    previous: str = ""
    skipped: str = ""
    timestamp: str = ""  # the webhook-timestamp and -signature headers
    signature: str = ""
    body: str = ""  # kept only where the rule says so
    connection: int = 0
    address: str = ""  # of this machine, at which it arrived
    answer: str = "pending"  # a status, or the name of a misbehaviour
    arrived: float = 0.0  # monotonic seconds of this machine
    answered: float = 0.0
    wall: float = 0.0  # seconds since 1970 at arrival

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver accepted it: it took note of a 2xx and then sent it."""
        return self.answer in ACCEPTING or (self.answer.isdigit() and 200 <= int(self.answer) <= 299)


def read(path: Path) -> list[Line]:
    """Read a ledger in order of arrival."""
    found: dict[int, dict[str, Any]] = {}
    names = {one.name for one in fields(Line)}
    for text in path.read_text().splitlines():
        entry = json.loads(text)
        # A delayed answer has a second entry, with what is new.
        found.setdefault(entry["number"], {}).update(entry)
    return [Line(**{name: value for name, value in one.items() if name in names}) for one in found.values()]


class Ledger:
    """The receiver's process, its rules and its file; use it as a context manager.

    `certificates` are for the hosts that have one of their own, good or bad; all others share one. A
    `prefix` starts the process somewhere else.
    """

    def __init__(
        self,
        *,
        ca: trustme.CA,
        hosts: Iterable[str],
        folder: Path,
        bind: str = "127.0.0.1",
        port: int = 0,
        prefix: Sequence[str] = (),
        certificates: Mapping[str, trustme.LeafCert] | None = None,
    ) -> None:
        self.path = folder / "ledger.jsonl"
        self.hosts = list(hosts)
        self.port = port
        self._bind = bind
        self._prefix = prefix
        self._folder = folder
        self._rules: dict[str, Rule] = {}
        self._certificates = {"": ca.issue_cert(*self.hosts)} | dict(certificates or {})

    def __enter__(self) -> Self:
        self.path.touch()
        certificates = {}
        for number, (host, certificate) in enumerate(self._certificates.items()):
            path = self._folder / f"certificate-{number}.pem"
            certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
            certificates[host] = str(path)
        self._process = subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "tests.faults.receiver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        configuration = {
            "bind": self._bind,
            "port": self.port,
            "ledger": str(self.path),
            "certificates": certificates,
        }
        self.port = int(self._ask(configuration))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It ends with its input, also when this process is killed.
        self._process.communicate(timeout=30)

    def behave(self, rule: Rule, *hosts: str) -> None:
        """Treat these hosts so from now on (none given: every host without a rule of its own)."""
        for host in hosts or (ANY,):
            self._rules[host] = rule
        self._ask({"rules": {host: asdict(rule) for host, rule in self._rules.items()}})

    def connect_to(self, address: str = "127.0.0.1") -> list[str]:
        """Return the OUTBOUND_CONNECT_TO entries that lead its hosts here."""
        return [f"{host}:443={address}:{self.port}" for host in self.hosts]

    def lines(self) -> list[Line]:
        """Return what has arrived so far."""
        return read(self.path)

    def count(self) -> int:
        """Return how many requests have arrived so far."""
        return int(self._ask({"count": True}))

    def wait_for(self, count: int, seconds: float = 20.0) -> bool:
        """Whether so many requests have arrived, waiting for them up to `seconds`."""
        ends = time.monotonic() + seconds
        while self.count() < count:
            if time.monotonic() > ends:
                return False
            time.sleep(0.01)
        return True

    def _ask(self, question: dict[str, Any]) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the receiver has ended")
        return answer.strip()
