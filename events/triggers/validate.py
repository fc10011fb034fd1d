"""Refuse a rule that could not work, naming the field and the remedy: for the console and the API alike."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from events import kinds
from events.models import EventType, Trigger

from . import chain
from .conditions import ABOUT_CHANGE, OF_NO_VALUE, OF_ORDER, OF_TWO_VALUES, Condition, Operator
from .due import zone_of
from .fire import MOST_DEEP
from .preview import preview
from .rules import Rule
from .values import moment, number

Source = Trigger.Source
# What each source needs, and what to say where it is missing.
NEEDED: Mapping[str, Mapping[str, str]] = {
    Source.CHANGE: {"object_kind": "Choose the kind of object."},
    Source.THRESHOLD: {
        "object_kind": "Choose the kind of object.",
        "value_path": "Name the field that is compared, such as used.",
    },
    Source.DATE: {
        "object_kind": "Choose the kind of object.",
        "date_path": "Name the field with the date, such as due_date.",
        "offset_days": "Give the days; 0 is the day itself.",
        "at_time": "Give the time of day, such as 09:00.",
    },
    Source.COMMITMENT: {
        "object_kind": "Choose the kind of object, such as contract.",
        "date_path": "Name the field with the last day of the period, such as commitment.period_end.",
        "tiers_path": "Name the list of tiers, each with committed and actual, such as tiers.",
        "period_path": "Name the field that tells periods apart, such as commitment.period_start.",
        "offset_days": "Give the days after the end at which it is looked at; 1 is the day after.",
        "at_time": "Give the time of day, such as 00:00.",
    },
    Source.SCHEDULE: {
        "anchor": "Choose the event that starts the clock.",
        "offset_days": "Give the days; 0 is the day itself.",
        "at_time": "Give the time of day, such as 09:00.",
    },
    Source.INACTIVITY: {
        "object_kind": "Choose the kind of object, such as sim.",
        "idle_days": "Give the days without activity.",
    },
    Source.EVENT: {"anchor": "Choose the event that causes it."},
}
# What fits each source; the rest is left at its default.
FITTING: Mapping[str, tuple[str, ...]] = {
    Source.CHANGE: ("object_kind", "on_create", "on_update", "on_delete", "once", "period_path"),
    Source.THRESHOLD: (
        "object_kind", "value_path", "size_path", "tiers_path", "period_path", "is_below", "highest_only",
    ),
    Source.DATE: ("object_kind", "date_path", "offset_days", "at_time", "timezone", "period_path"),
    Source.COMMITMENT: (
        "object_kind", "date_path", "period_path", "tiers_path", "offset_days", "at_time", "timezone",
    ),
    Source.SCHEDULE: ("anchor", "date_path", "offset_days", "at_time", "timezone"),
    Source.INACTIVITY: ("object_kind", "activity", "idle_days", "days_path", "plan_path"),
    Source.EVENT: ("anchor",),
}  # fmt: skip


def check_row(row: Trigger) -> dict[str, str]:
    """Return what is wrong with the trigger itself, by field."""
    faults = {
        name: told for name, told in NEEDED.get(row.source, {}).items() if _value(row, name) in {None, ""}
    }
    if row.object_kind and row.object_kind not in (known := kinds.read()):
        faults["object_kind"] = kinds.unknown(row.object_kind, known)
    if row.source == Source.CHANGE and not (row.on_create or row.on_update or row.on_delete):
        faults["on_update"] = "Choose at least one of created, updated and deleted."
    if row.source == Source.CHANGE and row.once == Trigger.Once.PERIOD and not row.period_path:
        faults["period_path"] = "Name the field that tells one period from the next."
    if row.source == Source.INACTIVITY and row.idle_days == 0:
        faults["idle_days"] = "Give at least 1 day."
    if row.timezone and zone_of(row.timezone) is None:
        faults["timezone"] = f"There is no time zone {row.timezone!r}; write it as America/Toronto."
    if row.recovery_type_id and row.source in Trigger.OF_EVENTS:
        faults["recovery_type"] = "What an event started cannot be over; leave it empty."
    if row.recovery_type_id and row.recovery_type_id == row.event_type_id:
        faults["recovery_type"] = "Choose another event than the one that tells of its beginning."
    return faults | _circles(row)


def check_condition(row: Trigger, condition: Condition) -> dict[str, str]:
    """Return what is wrong with one condition, by field."""
    faults = {}
    operator = condition.operator
    if operator not in OF_NO_VALUE and not condition.value.strip():
        faults["value"] = "Give the value to compare with."
    if operator in OF_TWO_VALUES and not condition.value_to.strip():
        faults["value_to"] = "Give the second value too."
    if operator in ABOUT_CHANGE and row.source != Source.CHANGE:
        faults["operator"] = "Only rules about changes can ask what changed; use is, is over and the like."
    elif operator in ABOUT_CHANGE and row.recovery_type_id:
        faults["operator"] = (
            "With a recovery event the conditions must be able to last: use is, is over and the like."
        )
    for name in ("value", "value_to"):
        text = getattr(condition, name).strip()
        if operator in OF_ORDER and text and number(text) is None and not _is_date(text):
            faults[name] = f"{text!r} is no number and no date: write 1000, 2026-11-22 or today - 30."
    if operator == Operator.BETWEEN and not faults and _is_backwards(condition):
        faults["value_to"] = "The second value is below the first; write the lower one first."
    if told := _unreachable(row, condition.field):
        faults["field"] = told
    return faults


def check_thresholds(row: Trigger, thresholds: Sequence[Any]) -> str:
    """Return what is wrong with the thresholds as a whole."""
    if row.source == Source.THRESHOLD and not thresholds:
        return "Give at least one threshold, such as 75 and 100."
    return ""


def check_payload(rule: Rule) -> str:
    """Return what the event type's schema refuses of an example, with the remedy."""
    try:
        shown = preview(rule)
    except ValidationError as error:
        return " ".join(error.messages)
    if not shown.faults:
        return ""
    told = " ".join(fault.detail for fault in shown.faults[:3])
    return (
        f"{rule.row.event_type.code} would be refused, tried on {shown.made_of}: {told} "
        "Fill it in under Payload, or choose another event."
    )


def _value(row: Trigger, name: str) -> Any:
    return row.anchor_id if name == "anchor" else getattr(row, name)


def _circles(row: Trigger) -> dict[str, str]:
    if row.source not in Trigger.OF_EVENTS or row.anchor_id is None or row.event_type_id is None:
        return {}
    if found := chain.circle(row, row.anchor_id, [row.event_type_id]):
        codes = EventType.objects.in_bulk(found)
        way = " → ".join(codes[each].code for each in found)
        return {"event_type": f"That would be a circle: {way}. Choose an event that leads nowhere back."}
    if (depth := chain.depth_with(row, row.anchor_id, row.event_type_id)) > MOST_DEEP:
        return {"event_type": f"Events would cause each other {depth} deep; at most {MOST_DEEP} are allowed."}
    return {}


def _unreachable(row: Trigger, path: str) -> str:
    """Say why a path leads to nothing: it names a kind that the object does not belong to."""
    head, _, rest = path.partition(".")
    known = kinds.read()
    if not rest or head not in known or row.object_kind not in known:
        return ""
    legal = [row.object_kind, *(code for code, _ in known[row.object_kind].above)]
    if head in legal:
        return ""
    near = difflib.get_close_matches(head, legal, n=1)
    hint = f"Did you mean {near[0]}.{rest}?" if near else f"There are: {', '.join(legal)}."
    return f"{_a(row.object_kind)} does not belong to one {head}, so {path} is not known here. {hint}"


def _a(kind: str) -> str:
    return f"{'An' if kind[0] in 'aeiou' else 'A'} {kind.replace('_', ' ')}"


def _is_date(text: str) -> bool:
    return text.lower().startswith("today") or moment(text) is not None


def _is_backwards(condition: Condition) -> bool:
    low, high = number(condition.value), number(condition.value_to)
    return low is not None and high is not None and high < low
