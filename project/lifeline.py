"""Tie a process to its parent, so that a killed parent leaves nothing behind."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded before any fork: what runs between fork and exec must not load libraries.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signum: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn` after which the kernel sends `signum` to the child when its parent dies.

    Use it from single-threaded parents only. Outside Linux it does nothing.
    """
    parent = os.getpid()

    def tie() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # It died before the call: no signal will ever come.
            os.kill(os.getpid(), signum)

    return tie


def die_with_parents() -> None:
    """From now on, whatever this process and its descendants fork is killed when the one that forked it dies.

    Fork from main threads only: the kernel goes by the thread. Outside Linux it does nothing.
    """
    library = _LIBC
    if library is None:
        return
    parent = [0]

    def note() -> None:
        parent[0] = os.getpid()

    def tie() -> None:
        library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    os.register_at_fork(before=note, after_in_child=tie)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies. Outside Linux it does nothing."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_group(group: int) -> None:
    """Kill what is left of a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def collect_group(group: int) -> None:
    """Wait for the end of those of a process group that are our own children, adopted ones among them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)
