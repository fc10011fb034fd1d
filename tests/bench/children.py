"""Processes that a bench starts: they end with it, however it ends."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from project.embedded import BASE_DIR
from project.lifeline import die_with_parent, kill_group

_GRACE = 15.0


@contextmanager
def started(
    command: Sequence[str], *, log: Path, stdin: int | None = subprocess.DEVNULL, stdout: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """Run a process beside the block; its output goes to `log`.

    At the end it is asked to stop, given time, and killed with all of its own.
    """
    with log.open("ab") as written:
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env=os.environ | dict(variables or {}),
            stdin=stdin,
            stdout=written if stdout is None else stdout,
            stderr=written,
            # Ctrl-C reaches the bench alone, which then stops each in turn.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  Its threads only send NOTIFYs.
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        kill_group(process.pid)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def check(process: subprocess.Popen[bytes], log: Path) -> None:
    """Raise if a process has ended that should still run: nothing measured since is worth anything."""
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} ended:\n{log.read_text()[-2000:]}")
