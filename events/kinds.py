"""The kinds of billing objects: the built-in ones, and what reporting needs to know of each."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from .models import ObjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind; `above` are its ancestors, nearest first, each with the path of its id in a report."""

    code: str
    above: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """One built-in kind."""

    code: str
    label: str
    parent: str = ""
    name_path: str = "name"
    status_path: str = "status"


BUILTIN = (
    KindSpec(code="account", label="Account"),
    KindSpec(code="package", label="Package", parent="account"),
    KindSpec(code="service", label="Service", parent="package", status_path="state"),
    KindSpec(code="bucket", label="Bucket", parent="service"),
    KindSpec(code="sim", label="SIM", parent="service", name_path="iccid", status_path="state"),
    KindSpec(code="contract", label="Contract", parent="account"),
    KindSpec(code="invoice", label="Invoice", parent="account", name_path="number"),
    KindSpec(code="payment", label="Payment", parent="account", name_path="number"),
    KindSpec(code="refund", label="Refund", parent="account", name_path="number"),
    KindSpec(code="credit", label="Credit", parent="account", name_path="number"),
    KindSpec(code="bill_run", label="Bill run"),
)


def read() -> Mapping[str, Kind]:
    """Return every kind by its code. One statement."""
    rows = {row.code: row for row in ObjectKind.objects.select_related("parent")}
    return {code: Kind(code=code, above=tuple(_above(row, rows))) for code, row in rows.items()}


def _above(row: ObjectKind, rows: Mapping[str, ObjectKind]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    path = row.parent_path
    while row.parent is not None and row.parent.code not in found:
        found[row.parent.code] = path or f"{row.parent.code}.id"
        # Only its own parent can be somewhere else in a report; whoever is further up is at <kind>.id.
        row, path = rows[row.parent.code], ""
    return list(found.items())


def unknown(code: str, known: Mapping[str, Kind]) -> str:
    """Return what to tell someone who named a kind that does not exist."""
    near = difflib.get_close_matches(code, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"There is no kind of object {code!r}.{hint} There are: {', '.join(sorted(known))}; "
        "an administrator can add one under Object kinds."
    )


def sync() -> int:
    """Create the built-in kinds that are missing, and return how many; those that are there stay as they are.

    Called under the lock of `events.sync`, which lets one at a time.
    """
    rows = {row.code: row for row in ObjectKind.objects.all()}
    created = 0
    for spec in BUILTIN:
        if spec.code in rows:
            continue
        rows[spec.code] = ObjectKind.objects.create(
            code=spec.code,
            label=spec.label,
            parent=rows[spec.parent] if spec.parent else None,
            name_path=spec.name_path,
            status_path=spec.status_path,
            is_builtin=True,
        )
        created += 1
    return created
