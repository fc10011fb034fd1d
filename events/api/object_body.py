"""Reading reports of billing objects and of activity: members are checked by name, numbers stay exact."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from events import moments
from events.activity import CHUNK, Used
from events.models import Activity
from events.refusals import FieldError, InvalidField, PublishError
from events.report import MAX_ID, Report
from events.report_refusals import InvalidReport, ReportError

from .envelope import Moment, decode, wrong_member

MAX_OBJECTS = 1000
MAX_ROWS = CHUNK
# Clocks differ a little; a time far ahead would hide that an object is silent.
_AHEAD = timedelta(days=1)

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]


class One(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One object's state, as it is put."""

    state: msgspec.Raw
    version: int | None = None
    occurred_at: Moment | None = None
    parents: dict[str, str | None] | None = None


class Item(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One report of a batch: a state, the changed part of one (`partial`), or that it was deleted."""

    kind: str
    id: str
    # Empty: not given. The decoder knows no Raw that may be null.
    state: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    partial: bool = False
    deleted: bool = False
    version: int | None = None
    occurred_at: Moment | None = None
    parents: dict[str, str | None] | None = None


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Several reports, each read by itself so that each can be refused by itself."""

    objects: list[msgspec.Raw]


class Row(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One object was active."""

    id: Id
    at: Moment | None = None
    kind: Id = "sim"
    activity: str = Activity.Kind.USAGE.value


class Rows(msgspec.Struct, forbid_unknown_fields=True):
    """Which objects were active."""

    activity: list[Row]


_ONE = msgspec.json.Decoder(One)
_ITEM = msgspec.json.Decoder(Item)
_BATCH = msgspec.json.Decoder(Batch | list[msgspec.Raw])
_ROWS = msgspec.json.Decoder(Rows)


def read(body: bytes, kind: str, external_id: str, *, partial: bool) -> Report:
    """Return the report; ParseError if it is no JSON, InvalidField for a wrong member."""
    one = decode(_ONE, body, "a report", One)
    return Report(
        kind=kind,
        external_id=external_id,
        state=bytes(one.state),
        partial=partial,
        version=one.version,
        occurred_at=one.occurred_at,
        parents=one.parents,
    )


def read_batch(body: bytes) -> tuple[list[Report | ReportError], str]:
    """Return each report, or why it cannot be one, and the pointer to the list of them."""
    batch = decode(_BATCH, body, "a batch", Batch)
    place, items = ("/objects", batch.objects) if isinstance(batch, Batch) else ("", batch)
    if not 1 <= len(items) <= MAX_OBJECTS:
        detail = f"A batch has 1 to {MAX_OBJECTS} reports; this one has {len(items)}."
        raise InvalidField(detail, field=place)
    return [_each(item) for item in items], place


def read_activity(body: bytes) -> list[Used]:
    """Return when which object was active; ParseError or InvalidField name what is wrong."""
    rows = decode(_ROWS, body, "a row", Row).activity
    if not 1 <= len(rows) <= MAX_ROWS:
        detail = f"Send 1 to {MAX_ROWS} rows; this call has {len(rows)}."
        raise InvalidField(detail, field="/activity")
    now = datetime.now(UTC)
    return [_used(row, now, f"/activity/{position}") for position, row in enumerate(rows)]


def _used(row: Row, now: datetime, place: str) -> Used:
    if row.activity not in Activity.Kind.values:
        legal = " or ".join(Activity.Kind.values)
        raise InvalidField(f"Write {legal}.", field=f"{place}/activity")
    if not row.id.isprintable() or row.id != row.id.strip():
        raise InvalidField(
            "Give an id of printable characters, without blanks around it.", field=f"{place}/id"
        )
    if row.at is not None and not moments.is_storable(row.at):
        raise InvalidField(moments.OUTSIDE, field=f"{place}/at")
    if row.at is not None and row.at > now + _AHEAD:
        raise InvalidField("This is more than a day ahead; give when it was active.", field=f"{place}/at")
    return Used(row.kind, row.activity, row.id, row.at or now)


def _each(body: msgspec.Raw) -> Report | ReportError:
    try:
        return _read_item(body)
    except ReportError as refusal:
        return refusal
    except PublishError as refusal:
        return InvalidReport(refusal.errors)


def _read_item(body: msgspec.Raw) -> Report:
    try:
        item = _ITEM.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_member(str(error), "a report", Item) from None
    state = bytes(item.state) or None
    if item.deleted == (state is not None):
        detail = 'Give the state of the object, or "deleted": true, and not both.'
        raise InvalidReport([FieldError(field="/state", detail=detail)])
    return Report(
        kind=item.kind,
        external_id=item.id,
        state=state,
        partial=item.partial,
        version=item.version,
        occurred_at=item.occurred_at,
        parents=item.parents,
    )
