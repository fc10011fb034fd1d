"""A finished measurement as a table for people."""

from collections.abc import Mapping
from typing import Any

_HEADER = ("case", "ours", "baseline", "ratio", "spread", "target", "")


def table(found: Mapping[str, Any]) -> str:
    """Return the cases as aligned lines, what else was found, and the verdict."""
    rows = [_HEADER, *(_row(case) for case in found["cases"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    known = {
        "unit",
        "ours",
        "baseline",
        "ratio",
        "target",
        "sense",
        "holds",
        "spread",
        "rounds",
        "cases",
        "name",
    }
    told = [
        f"{key}: {_told(value)}"
        for key, value in found.items()
        if key not in known | found["cases"][0].keys()
    ]
    for case in found["cases"]:
        more = {key: value for key, value in case.items() if key not in known}
        if more:
            told.append(f"{case['name']}: {_told(more)}")
    verdict = "All targets hold." if found["holds"] else "Not every target holds."
    return "\n".join([f"{found['name']}, medians of {found['rounds']} rounds", *lines, "", *told, verdict])


def _row(case: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = case["spread"]
    bound = f"{case['sense']} {case['target']:g}"
    return (
        f"{case['name']} ({case['unit']})",
        f"{case['ours']:g}",
        "" if case["baseline"] is None else f"{case['baseline']:g}",
        "" if case["ratio"] is None else f"{case['ratio']:.3g}",
        f"{low:.3g}..{high:.3g}",
        bound,
        "holds" if case["holds"] else "MISSED",
    )


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(_told(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
