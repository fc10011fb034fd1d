"""Thresholds: strictly crossed, once per tier and period, whatever is reported in whichever order."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import kinds
from events.models import Change, Event, EventType, Firing, Trigger
from events.objects import report
from events.triggers import evaluate_inbox
from events.triggers.thresholds import Measure, crossings

from .conftest import Rules, fired, outcomes

JANUARY, FEBRUARY = "2026-01-01", "2026-02-01"


def use(used: Any, period: str = JANUARY, size: Any = 100, **more: Any) -> None:
    state = {"used": used, "size": size, "period_start": period, "account": {"id": "1001"}, **more}
    report("bucket", "5001", state)


def told(code: str = "usage.threshold_exceeded") -> list[tuple[str, list[Any]]]:
    found = []
    for event in fired(code):
        data = json.loads(event.data)
        found.append((data["tier"]["percent_threshold"], data["usage"]["thresholds_crossed"]))
    return found


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        # crossing: strictly below before, at or above after
        ([(49,), (50,)], [("50", [50])]),
        ([(50,), (51,)], [("50", [50])]),  # the first report is the crossing; standing on it is none
        ([(49,), ("49.99",), ("50.00",), (60,)], [("50", [50])]),
        # one jump over several: one event each, each listing all
        ([(10,), (120,)], [("50", [50, 75, 100]), ("75", [50, 75, 100]), ("100", [50, 75, 100])]),
        # restated downwards, and up again: told once in the period
        ([(60,), (40,), (60,)], [("50", [50])]),
        # a new period resets by its key
        ([(60,), (60, FEBRUARY)], [("50", [50]), ("50", [50])]),
        ([(60,), (5, FEBRUARY), (55, FEBRUARY)], [("50", [50]), ("50", [50])]),
        # a late restatement of an old period tells nothing again
        ([(60,), (5, FEBRUARY), (80, JANUARY)], [("50", [50]), ("75", [50, 75])]),
        # the bucket shrinks: what is used is more of it
        ([(40,), (40, JANUARY, 50)], [("50", [50, 75]), ("75", [50, 75])]),
        ([(None,), ("text",), (0,)], []),
    ],
)
def test_a_threshold_is_told_once_a_tier_and_period(rules: Rules, reports: list[Any], expected: Any) -> None:
    trigger = rules("threshold", thresholds=[50, 75, 100])
    for each in reports:
        use(*each)
        evaluate_inbox()
    assert told() == expected
    assert outcomes(trigger).count("fired") == len(expected)


def test_only_the_highest_is_told_where_the_administrator_says_so(rules: Rules) -> None:
    trigger = rules("threshold", thresholds=[50, 75, 100], highest_only=True)
    use(10)
    use(80)
    use(40)
    use(60)  # covered by the 75 before
    use(100)
    evaluate_inbox()
    assert told() == [("75", [50, 75]), ("100", [75, 100])]
    assert Firing.objects.filter(trigger=trigger).count() == 3


def test_tiers_of_the_object_lie_on_top_of_each_other(rules: Rules) -> None:
    rules("threshold", thresholds=[100], tiers_path="tiers", size_path="")
    tiers = [{"number": 1, "size": 100, "name": "First"}, {"number": 2, "size": 50}]
    for used in (90, 100, 149, 150):
        use(used, tiers=tiers)
    evaluate_inbox()
    data = [json.loads(event.data) for event in fired()]
    assert [each["tier"]["number"] for each in data] == [1, 2]
    assert (data[0]["tier"]["size"], data[0]["usage"]["percent"], data[0]["usage"]["remaining"]) == (
        "100",
        "100",
        "0",
    )
    assert data[1]["usage"]["previous"] == "149"


def test_a_balance_that_falls_is_told_below_the_threshold(rules: Rules) -> None:
    rules("threshold", thresholds=[10, 20], size_path="", is_below=True)
    for used in (50, 20, 25, 5, 30, 9):
        use(used)
    evaluate_inbox()
    assert [json.loads(event.data)["usage"]["current"] for event in fired()] == ["20", "5"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("99.9", "100", ["100"]),
        ("100", "100", []),
        ("100", "101", []),
        (None, "100", ["100"]),
        ("0", "99.9999", []),
    ],
)
def test_crossing_is_strict_below(before: str | None, after: str, expected: list[str]) -> None:
    measure = Measure(value_path="v", thresholds=[Decimal(100)])
    found = crossings(measure, {"v": before} if before else None, {"v": after})
    assert [str(each.level.at) for each in found] == expected


def test_twenty_reports_and_evaluators_at_once_tell_each_tier_once(catalog: dict[str, EventType]) -> None:
    kinds.sync()
    Trigger.objects.update(is_active=False)
    trigger = Trigger.objects.create(
        name="t", source="threshold", object_kind="bucket", event_type=catalog["usage.threshold_exceeded"],
        value_path="used", size_path="size", period_path="period_start", is_active=True,
    )  # fmt: skip
    for threshold in (50, 75, 100):
        trigger.thresholds.create(threshold=threshold)

    def work(used: int) -> None:
        try:
            use(used)
            evaluate_inbox()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(15, 115, 5)))
    use(120)
    evaluate_inbox()
    assert sorted(percent for percent, _ in told()) == ["100", "50", "75"]
    assert not Change.objects.filter(evaluated_at=None).exists()


STEP = st.tuples(st.integers(0, 130), st.sampled_from([JANUARY, FEBRUARY]), st.integers(0, 12), st.booleans())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=12))
def test_any_sequence_of_reports_fires_each_once_only_event_exactly_once(
    rules: Rules, steps: list[Any]
) -> None:
    """Repeated, and reordered within what versions allow: told is what was ever reached in its period."""
    for model in (Event, Change):
        model.objects.all().delete()
    Trigger.objects.all().delete()
    threshold = rules("threshold", thresholds=[50, 100])
    once = rules(
        "change",
        [("used", "ge", "50")],
        object_kind="bucket",
        event="usage.threshold_exceeded",
        once="object",
        on_create=True,
    )
    reached: set[tuple[str, int]] = set()
    name, version = f"b{Trigger.objects.latest('pk').pk}", -1
    for used, period, given_version, evaluates in steps:
        state = {"used": used, "size": 100, "period_start": period, "account": {"id": "1001"}}
        for _ in range(2):
            taken = report("bucket", name, state, version=given_version)
        if taken.object.state.get("used") == used and given_version >= version and not taken.is_stale:
            reached |= {(period, level) for level in (50, 100) if used >= level}
            version = given_version
        if evaluates:
            evaluate_inbox()
    evaluate_inbox()
    evaluate_inbox()
    found = [(each.period, int(each.tier.split(":")[1])) for each in Firing.objects.filter(trigger=threshold)]
    assert sorted(found) == sorted(reached)
    expected = 1 if any(level == 50 for _, level in reached) else 0
    assert Firing.objects.filter(trigger=once).count() == expected
    assert len(fired()) == len(reached) + expected
