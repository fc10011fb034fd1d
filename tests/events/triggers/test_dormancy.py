"""Absence: once for each dormant spell, re-armed by usage, by plan and by SIM."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.models import Activity
from events.objects import report
from events.triggers import dormancy, silent
from events.triggers import rules as reading

from .conftest import Rules, fired, outcomes

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
EXCLUDED = [("state", "not_in", "Suspended, Cancelled"), ("is_test", "is_not", "true")]


def sim(name: str = "8901", **state: Any) -> None:
    report("sim", name, {"state": "Active", "activated_on": "2026-01-01", "account": {"id": "1001"}, **state})


def used(days_ago: float, name: str = "8901", activity: str = "usage") -> None:
    Activity.objects.update_or_create(
        kind="sim", activity=activity, external_id=name, defaults={"last_at": NOW - timedelta(days=days_ago)}
    )


def scan(trigger: Any, days: float = 0) -> int:
    return dormancy.scan(reading.of(trigger), now=NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("state", "days_ago", "rule", "expected"),
    [
        ({}, 29.9, {}, 0),
        ({}, 30, {}, 1),
        ({}, None, {}, 1),  # never used, activated long ago
        ({"activated_on": "2026-11-01"}, None, {}, 0),
        ({"activated_on": "2026-11-01"}, 40, {}, 0),  # active again only since
        ({"state": "Suspended"}, 40, {}, 0),
        ({"is_test": True}, 40, {}, 0),
        ({"plan": "Meter"}, 40, {"plans": {"Meter": 90}}, 0),
        ({"plan": "Tracker"}, 8, {"plans": {"Tracker": 7}}, 1),
        ({"plan": "Other"}, 8, {"plans": {"Tracker": 7}}, 0),
        ({"quiet_days": 3}, 4, {"days_path": "quiet_days"}, 1),
        ({}, 4, {"days_path": "quiet_days"}, 0),
        ({}, 40, {"activity": "network"}, 1),  # used, but never seen by the network
    ],
)
def test_a_sim_is_dormant_by_its_own_its_plans_or_the_rules_days(
    rules: Rules, state: Any, days_ago: float | None, rule: Any, expected: int
) -> None:
    trigger = rules("inactivity", EXCLUDED, **rule)
    sim(**state)
    if days_ago is not None:
        used(days_ago)
    assert scan(trigger) == expected == len(fired("sim.dormant"))


def test_a_spell_is_told_once_and_usage_begins_another(rules: Rules) -> None:
    trigger = rules("inactivity", EXCLUDED, recovery="sim.woke")
    sim()
    used(31)
    assert [scan(trigger), scan(trigger, 1), scan(trigger, 2)] == [1, 0, 0]
    data = json.loads(fired("sim.dormant")[0].data)
    assert (data["dormancy"], data["usage"]["never_used"]) == (
        {"threshold_days": 30, "days": 31, "kind": "usage"},
        False,
    )
    assert data["sim"]["iccid"] == "8901"
    assert dormancy.find_woken() == 0
    used(-3)
    assert (dormancy.find_woken(), dormancy.find_woken()) == (1, 0)
    assert [scan(trigger, 5), scan(trigger, 33)] == [0, 1]
    assert [event.type.code for event in fired()] == ["sim.dormant", "sim.woke", "sim.dormant"]
    assert outcomes(trigger) == ["fired", "recovered", "fired"]


def test_a_sim_that_was_never_used_is_told_once_until_it_is(rules: Rules) -> None:
    trigger = rules("inactivity")
    sim()
    assert [scan(trigger), scan(trigger, 1)] == [1, 0]
    assert json.loads(fired()[0].data)["usage"] == {"never_used": True}
    used(-2)
    assert [scan(trigger, 3), scan(trigger, 32)] == [0, 1]


def test_a_scan_walks_in_batches_and_forgets_none(rules: Rules, monkeypatch: Any) -> None:
    trigger = rules("inactivity")
    monkeypatch.setattr(silent, "BATCH", 7)
    monkeypatch.setattr(silent, "STEP", 9)
    for number in range(20):
        sim(f"s{number:02}")
        used(40, f"s{number:02}")  # all at the same moment
        sim(f"n{number:02}")
    assert (scan(trigger), scan(trigger)) == (40, 0)
