"""The run as a person sees it: a table that fills in place, or plain lines where there is no terminal."""

import os
import shutil
import statistics
from collections.abc import Callable
from http import HTTPStatus

from .tally import Row, Tally

_HEADER = f"{'event':<27}{'POST':>8}{'webhooks':>10}{'mails':>8}{'ms':>7}"
_UP, _CLEAR = "\x1b[{}A", "\x1b[2K"


class Board:
    """Shows a tally again and again; `write` puts text out at once."""

    def __init__(self, write: Callable[[str], None], *, is_terminal: bool, kinds: int) -> None:
        tall_enough = shutil.get_terminal_size().lines > kinds + 2
        self._in_place = is_terminal and tall_enough and os.environ.get("TERM", "dumb") != "dumb"
        self._write = write
        self._drawn = 0
        self._reported: set[str] = set()

    def show(self, result: Tally) -> None:
        """Show how it stands: all kinds in place, or each kind once when it is complete."""
        if self._in_place:
            lines = [_HEADER, *(_line(row) for row in result.rows.values())]
            back = _UP.format(self._drawn) if self._drawn else ""
            self._write(back + "".join(f"{_CLEAR}{line}\n" for line in lines))
            self._drawn = len(lines)
            return
        if not self._reported:
            self._report("", _HEADER)
        for row in result.rows.values():
            if row.is_complete:
                self._report(row.type, _line(row))

    def finish(self, result: Tally) -> None:
        """Show how it ended, incomplete kinds too."""
        self.show(result)
        for row in result.rows.values() if not self._in_place else ():
            self._report(row.type, _line(row))

    def _report(self, name: str, line: str) -> None:
        if name not in self._reported:
            self._reported.add(name)
            self._write(f"{line}\n")


def _line(row: Row) -> str:
    refused = [status for status in row.statuses if status != HTTPStatus.CREATED]
    status = refused[0] if refused else HTTPStatus.CREATED.value
    posted = f"{status} x{len(row.statuses)}" if row.statuses else "·"
    median = f"{statistics.median(row.milliseconds):.0f}" if row.milliseconds else "·"
    return (
        f"{row.type:<27}{posted:>8}{_of(row.webhooks, row.webhooks_expected):>10}"
        f"{_of(row.mails, row.mails_expected):>8}{median:>7}{'  ✓' if row.is_complete else ''}"
    )


def _of(arrived: int, expected: int) -> str:
    return f"{arrived}/{expected}" if expected else "·"
