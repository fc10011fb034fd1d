"""Clear what an earlier server left behind, whose keeper or postmaster was killed."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def clear(data: Path, socket: Path) -> list[int]:
    """End the processes that still run on this data folder, remove stale lock files; return who was ended.

    Call it only where no keeper runs, which makes every such process a remnant.
    """
    ended: set[int] = set()
    for signum, patience in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        remnants = _running_in(data)
        if signum == signal.SIGINT:
            # It makes a postmaster stop in good order; to a lone backend it means "cancel the query".
            remnants &= {_pid_in(data / "postmaster.pid")}
        ended |= remnants
        for pid in remnants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        deadline = time.monotonic() + patience
        while remnants and _running_in(data) and time.monotonic() < deadline:
            time.sleep(0.05)
    if sys.platform == "linux" and not _running_in(data):
        # Their process ids may belong to somebody else by now, which would stop the start.
        for stale in (data / "postmaster.pid", socket / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)
    return sorted(ended)


def _running_in(data: Path) -> set[int]:
    """Return the ids of PostgreSQL's processes on this data folder; always empty outside Linux."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").samefile(data) and (process / "comm").read_text().strip() == "postgres":
                found.add(int(process.name))
    return found


def _pid_in(path: Path) -> int:
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return 0
