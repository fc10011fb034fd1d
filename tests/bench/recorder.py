"""A receiver that notes when each callout arrives, and that can be told to leave some without an answer.

`python -m tests.bench.recorder PORT FOLDER` serves the keys in FOLDER and obeys standard input:
`hang N` reads the requests to /N and above and never answers them; `take FILE` writes what arrived
since the last time as JSON, a row [number in the path, webhook-id, monotonic nanoseconds] each.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import receiver
from tests.bench.children import started

NOBODY = 1_000_000
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: the number in its path, its webhook-id, and when its first byte came."""

    number: int
    webhook_id: str
    at: float  # monotonic seconds, the same in every process of this machine


class Recorder:
    """The other side of its standard input."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self.port = port
        self.ca_bundle = folder / "ca.pem"

    def hang(self, first: int) -> None:
        """From now on never answer requests to /`first` and above."""
        self._tell(f"hang {first}")

    def take(self) -> list[Arrival]:
        """Return what has arrived since the last time."""
        path = self._folder / "arrivals.json"
        self._tell(f"take {path}")
        return [Arrival(number, name, at / 1e9) for number, name, at in json.loads(path.read_text())]

    def environment(self, hosts: int) -> dict[str, str]:
        """What leads workers to it."""
        return {
            "OUTBOUND_CONNECT_TO": receiver.connect_to(self.port, hosts),
            "OUTBOUND_CA_BUNDLE": str(self.ca_bundle),
        }

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != b"done\n":
            raise RuntimeError("the recording receiver ended")


@contextmanager
def recording(folder: Path, certified: Path) -> Iterator[Recorder]:
    """Run one beside the block, with the keys in `certified`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.bench.recorder", str(port), str(certified)]
    log = folder / "recorder.log"
    with started(command, log=log, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the recording receiver did not start:\n" + log.read_text())
        yield Recorder(process, port, certified)


class _State:
    def __init__(self) -> None:
        self.hangs_from = NOBODY
        self.arrivals: list[tuple[int, str, int]] = []

    def obey(self, line: str) -> None:
        match line.split():
            case ["hang", number]:
                self.hangs_from = int(number)
            case ["take", path]:
                taken, self.arrivals = self.arrivals, []
                Path(path).write_text(json.dumps(taken))


class _Conversation(asyncio.Protocol):
    """One connection; its requests come one after another."""

    def __init__(self, state: _State) -> None:
        self._state = state
        self._buffer = b""
        self._began = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._began = time.monotonic_ns()
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end or len(rest) < receiver.content_length(head):
            return
        self._buffer = b""
        first, *lines = head.decode("latin-1").split("\r\n")
        number = int(first.split(" ")[1].rpartition("/")[2])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._state.arrivals.append((number, headers["webhook-id"], self._began))
        if number < self._state.hangs_from:
            self._transport.write(_ANSWER)


async def _main(port: int, folder: Path) -> None:
    state, loop = _State(), asyncio.get_running_loop()
    context = receiver.server_context(folder)
    await loop.create_server(lambda: _Conversation(state), "127.0.0.1", port, ssl=context, backlog=1024)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await lines.readline():
        state.obey(line.decode())
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
