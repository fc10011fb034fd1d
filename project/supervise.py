"""Run the product's processes as children of one: start them, start again what dies, stop them all.

1. Each child runs under `project.shim`, which also ends it when this process is killed: nothing survives us.
2. A child that dies is started again after 1, 2, 4 … 30 s; once it ran for a minute, the count begins anew.
3. The handler only notes SIGTERM and Ctrl-C, the loop acts on them: no lock is ever taken in a handler. The
   first asks everything to stop, each child within its own grace; the second kills at once. What comes
   within 0.4 s counts as the same one: `uv run` may pass on the Ctrl-C that the terminal has sent us already.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from . import supervise_logs

BASE_DIR = Path(__file__).resolve().parent.parent
_TICK = 0.2
_HEALTHY_AFTER = 60.0
_LONGEST_PAUSE = 30.0
_ONE_REQUEST = 0.4
# The shim kills its child when the grace is over; this much later the shim itself is killed.
_SHIM_MARGIN = 3.0


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process to keep running: `inherits` are open descriptors, `grace` the seconds it may take to stop."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    inherits: tuple[int, ...] = ()
    grace: float = 5.0


@dataclass(kw_only=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None
    started_at: float
    deaths: int = 0
    start_again_at: float = 0.0


class Supervisor:
    """Keeps children running inside a `with` block, and has stopped them all when the block ends.

    `say` shows a line to the person at the terminal; `each_second` is called about once a second.
    Without a `log_dir` the children write to our own standard error.
    Use it from the main thread; only `restart_soon` and `started_at` may be called from others.
    """

    def __init__(
        self,
        *,
        log_dir: Path | None,
        say: Callable[[str], None],
        each_second: Callable[[], None] = lambda: None,
    ) -> None:
        self.log_dir = log_dir
        self.say = say
        self.each_second = each_second
        self.stop_requests = 0
        self._requested_at = float("-inf")
        self._children: dict[str, _Running] = {}
        self._handlers: dict[signal.Signals, signal._HANDLER] = {}
        self._next_second = 0.0
        self._to_restart: deque[str] = deque()

    def __enter__(self) -> Self:
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._handlers[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    @property
    def stopping(self) -> bool:
        """Whether Ctrl-C or SIGTERM came."""
        return self.stop_requests > 0

    def start(self, child: Child) -> None:
        """Start the child; from now on `watch` keeps it running."""
        self._children[child.name] = _Running(
            child=child, process=self._launch(child), started_at=time.monotonic()
        )

    def restart(self, name: str, *, at_once: bool = False) -> None:
        """Stop one child, within its grace or by killing it at once, and start it again."""
        running = self._children[name]
        if at_once:
            _signal([running], signal.SIGQUIT)
        self._stop([running])
        running.process = self._launch(running.child)
        running.started_at = time.monotonic()

    def restart_soon(self, name: str) -> None:
        """Have `watch` kill one child and start it again."""
        self._to_restart.append(name)

    def started_at(self, name: str) -> float | None:
        """Return since when the child runs, in monotonic seconds; None while it does not."""
        running = self._children.get(name)
        return running.started_at if running and running.process else None

    def log(self, name: str) -> Path:
        """Return the file that holds the child's output."""
        if self.log_dir is None:
            raise LookupError("The children write to our standard error.")
        return self.log_dir / f"{name}.log"

    def watch(self, until: Callable[[], bool] = lambda: False) -> bool:
        """Keep the children running; return True once `until` holds, False when asked to stop."""
        while not self.stopping:
            if until():
                return True
            for running in self._children.values():
                self._revive(running)
            while self._to_restart:
                self.restart(self._to_restart.popleft(), at_once=True)
            if time.monotonic() >= self._next_second:
                self._next_second = time.monotonic() + 1
                for name in self._children if self.log_dir else ():
                    supervise_logs.bound(self.log(name))
                self.each_second()
            time.sleep(_TICK)
        return False

    def stop(self) -> None:
        """Stop every child, all at the same time, and return when no process is left."""
        self._stop(list(self._children.values()))
        self._children.clear()

    def _launch(self, child: Child) -> subprocess.Popen[bytes]:
        log = supervise_logs.open_log(self.log(child.name)) if self.log_dir else os.dup(2)
        try:
            return subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "project.shim", str(child.grace), *child.command],
                cwd=BASE_DIR,
                env={**os.environ, **child.environment},
                stdin=subprocess.PIPE,  # The lifeline: nobody ever writes to it.
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal reaches us alone; we tell the children.
                start_new_session=True,
                pass_fds=child.inherits,
            )
        finally:
            os.close(log)

    def _revive(self, running: _Running) -> None:
        """Note that a child has died, or start it again once its pause is over."""
        child, now = running.child, time.monotonic()
        if running.process is None:
            if now >= running.start_again_at:
                running.process, running.started_at = self._launch(child), now
            return
        status = running.process.poll()
        if status is None:
            return
        _forget(running)
        running.deaths = 1 if now - running.started_at > _HEALTHY_AFTER else running.deaths + 1
        pause = min(_LONGEST_PAUSE, 2.0 ** (running.deaths - 1))
        running.start_again_at = now + pause
        self.say(f"{child.name} ended with status {status}, and starts again in {pause:.0f} s.")
        if self.log_dir is None:
            return
        self.say(f"The end of {self.log(child.name)}:")
        for line in supervise_logs.last_lines(self.log(child.name)):
            self.say(f"  {line}")

    def _stop(self, asked: list[_Running]) -> None:
        _signal(asked, signal.SIGTERM)
        begun, requests = time.monotonic(), self.stop_requests
        killed = False
        while alive := [running for running in asked if running.process and running.process.poll() is None]:
            # A stop that began with Ctrl-C is hurried by the next one.
            if self.stop_requests > requests and not killed:
                killed = True
                self.say("Killing what is left.")
                _signal(alive, signal.SIGQUIT)
            late = [r for r in alive if time.monotonic() > begun + r.child.grace + _SHIM_MARGIN]
            _signal(late, signal.SIGKILL)
            time.sleep(0.05)
        for running in asked:
            _forget(running)

    def _note(self, _signum: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._requested_at > _ONE_REQUEST:
            self._requested_at = now
            self.stop_requests += 1


def _signal(targets: list[_Running], signum: signal.Signals) -> None:
    for running in targets:
        if running.process is not None:
            running.process.send_signal(signum)


def _forget(running: _Running) -> None:
    """Close our end of the lifeline."""
    if running.process is not None and running.process.stdin is not None:
        running.process.stdin.close()
    running.process = None
