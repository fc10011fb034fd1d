"""A digest as a table for a spreadsheet: CSV in UTF-8, bounded, in which no cell is a formula."""

import csv
import io
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
    lines = ["\ufeff", _line([*COLUMNS, *tokens])]  # without the mark, Excel reads it in its own code page
    room = MAX_BYTES - sum(len(each.encode()) for each in lines)
    for entry in entries[:MOST_ROWS]:
        line = _line([cell(value) for value in _values(entry, tokens)])
        room -= len(line.encode())
        if room < 0:
            break
        lines.append(line)
    return Table(text="".join(lines), rows=len(lines) - 2)


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


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
