"""Run one command so that nothing of it survives: `python -m project.shim GRACE COMMAND…`.

`project.supervise` starts one shim a child. The command runs in a process group of its own.

1. SIGTERM goes to the command's main process only, as django-q2 needs: to the group it would cut sends.
   What has not ended GRACE seconds later is killed.
2. When the main process has ended, whatever is left of its group is killed: no orphan works on.
3. Standard input is the lifeline: its end says that the supervisor died, and counts as SIGTERM with a grace
   of three seconds.
4. SIGQUIT kills the group at once. Should the shim be killed, the kernel sends the main process SIGTERM.

The exit status is the command's; 128 + n where signal n ended it.
"""

import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

from project.lifeline import adopt_orphans, collect_group, die_with_parent, kill_group

# Nobody is there any more to hurry django-q2's tasks; what they were sending is sent again.
_ORPHANED = 3.0


def main() -> None:
    """Run the command from the arguments, and exit with its status."""
    grace, command = float(sys.argv[1]), sys.argv[2:]
    # The handlers do nothing: what counts is the byte that each signal writes into the pipe.
    wakeup, wakeup_end = os.pipe()
    os.set_blocking(wakeup_end, False)
    signal.set_wakeup_fd(wakeup_end)
    for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(signum, _note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    child = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        close_fds=False,  # What the supervisor gave us is the command's; our own are not inheritable.
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509  The shim has one thread.
    )
    _wait(child, grace, wakeup)
    kill_group(child.pid)
    status = child.wait()
    collect_group(child.pid)
    sys.exit(status if status >= 0 else 128 - status)


def _wait(child: subprocess.Popen[bytes], grace: float, wakeup: int) -> None:
    """Return when the main process has ended, or its time is up."""
    sources = [wakeup, sys.stdin.fileno()]
    deadline: float | None = None
    while child.poll() is None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        ready, _, _ = select.select(sources, [], [], left)
        signals = os.read(wakeup, 64) if wakeup in ready else b""
        if signal.SIGQUIT in signals:
            return
        supervisor_died = sys.stdin.fileno() in ready
        if supervisor_died:
            sources = [wakeup]
            grace = min(grace, _ORPHANED)
        if (supervisor_died or signal.SIGTERM in signals) and deadline is None:
            deadline = time.monotonic() + grace
            child.terminate()


def _note(_signum: int, _frame: FrameType | None) -> None:
    """Take the signal, so that it is written into the pipe."""


if __name__ == "__main__":
    main()
