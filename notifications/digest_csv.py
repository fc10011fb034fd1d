"""A digest as a table for a spreadsheet: CSV in UTF-8, bounded, in which no cell is a formula."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .digest_content import Entry
from .envelope import timestamp
from .match import resolve

MOST_ROWS = 10_000
MAX_BYTES = 5 * 1024 * 1024
COLUMNS = ("event id", "type", "occurred at", "account", "object")
# A spreadsheet takes what begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The file, and how many of the events are in it."""

    text: str
    rows: int


def table(entries: Sequence[Entry], tokens: Sequence[str]) -> Table:
    """Return a row for each event with the values of these tokens, up to the limits."""
    lines = _Lines()
    lines.write("\ufeff")  # without it, Excel reads the file in its own code page
    writer = csv.writer(lines)
    writer.writerow([*COLUMNS, *tokens])
    rows = 0
    for entry in entries[:MOST_ROWS]:
        writer.writerow([cell(value) for value in _values(entry, tokens)])
        if lines.size > MAX_BYTES:
            lines.taken.pop()
            break
        rows += 1
    return Table(text="".join(lines.taken), rows=rows)


class _Lines:
    """What a CSV writer writes, with its length in UTF-8."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.size = 0

    def write(self, line: str) -> None:
        self.taken.append(line)
        self.size += len(line.encode())


def _values(entry: Entry, tokens: Sequence[str]) -> list[Any]:
    own = [entry.id, entry.type, timestamp(entry.occurred_at), entry.account, entry.object]
    return own + [resolve(entry.data, token) for token in tokens]


def cell(value: Any) -> str:
    """Return a value as a cell: text, which no spreadsheet calculates."""
    if value is None:
        return ""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str | int | float | Decimal):
        text = str(value)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text}" if text.startswith(_FORMULA) else text
