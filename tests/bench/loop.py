"""The baseline: a bare loop that posts with `requests`, as simply as it is usually written.

`python -m tests.bench.loop PORT CA THREADS BODY_BYTES` connects and posts as many requests as each
line of standard input says, anew for each line, and answers with a line when it is done.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.bench.children import started
from tests.bench.rounds import Round

# Sent on top of what requests sends by itself: eight lines in all, as many as a callout of ours has.
_HEADERS = {"Content-Type": "application/json", "webhook-id": "dlv_01a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6"}


class Loops:
    """The processes of the loop, which wait to be told."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], receiver) -> None:
        self._processes = processes
        self._receiver = receiver

    def post(self, count: int) -> Round:
        """Post so many requests, spread evenly over the processes and their threads."""
        shares = [count // len(self._processes)] * len(self._processes)
        shares[0] += count - sum(shares)
        receiver_cpu, began = self._receiver.cpu_seconds(), time.monotonic()
        for process, share in zip(self._processes, shares, strict=True):
            assert process.stdin
            process.stdin.write(b"%d\n" % share)
            process.stdin.flush()
        loop_cpu = 0.0
        for process in self._processes:
            assert process.stdout
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("a process of the bare loop ended")
            loop_cpu += float(line)
        return Round(
            count=count,
            seconds=time.monotonic() - began,
            cpu={"loop": loop_cpu, "receiver": self._receiver.cpu_seconds() - receiver_cpu},
        )


@contextmanager
def looping(
    receiver, *, processes: int, threads: int, body_bytes: int, folder: Path, module: str = "loop"
) -> Iterator[Loops]:
    """Keep so many processes of the loop, or of another one that is told the same way, ready beside the block."""
    command = [sys.executable, "-m", f"tests.bench.{module}", str(receiver.port), str(receiver.ca_bundle)]
    command += [str(threads), str(body_bytes)]
    with ExitStack() as stack:
        made = [
            stack.enter_context(
                started(command, log=folder / "loop.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(processes)
        ]
        yield Loops(made, receiver)


def _post(url: str, ca_bundle: str, body: bytes, count: int) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = ca_bundle
        for _ in range(count):
            session.post(url, data=body, headers=_HEADERS, timeout=15).raise_for_status()


def _main(port: str, ca_bundle: str, threads: int, body: bytes) -> None:
    url = f"https://localhost:{port}/hook"
    for line in sys.stdin:
        count, before = int(line), time.process_time()
        shares = [count // threads + (number < count % threads) for number in range(threads)]
        if threads == 1:
            _post(url, ca_bundle, body, count)
        else:
            with ThreadPoolExecutor(threads) as pool:
                # Read, so that a failed post ends the process instead of making it look fast.
                list(pool.map(lambda share: _post(url, ca_bundle, body, share), shares))
        sys.stdout.write(f"{time.process_time() - before}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), b"x" * int(sys.argv[4]))
