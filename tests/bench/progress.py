"""How far a measurement is: a bar on a terminal, plain lines elsewhere. Always on standard error."""

import os
import shutil
import sys
import time

_CLEAR = "\r\x1b[2K"


class Progress:
    """Counts steps, of which `expect` tells how many there will be."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._expected = self._done = 0
        self._begun = time.monotonic()

    def expect(self, steps: int) -> None:
        """Add to what is to be done."""
        self._expected += steps

    def say(self, text: str) -> None:
        """Tell what is being done now."""
        self._show(text)

    def step(self, text: str) -> None:
        """Count a step, and tell what came of it."""
        self._done += 1
        self._show(text)

    def close(self) -> None:
        """Leave the terminal's line clean."""
        if self._in_place:
            self._write(_CLEAR)

    def _show(self, text: str) -> None:
        seconds = f"{time.monotonic() - self._begun:5.0f} s"
        if not self._in_place:
            self._write(f"{seconds}  [{self._done}/{self._expected}]  {text}\n")
            return
        width = 24
        filled = width * self._done // max(self._expected, 1)
        line = f"{seconds} [{'#' * filled}{'.' * (width - filled)}] {text}"
        self._write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
