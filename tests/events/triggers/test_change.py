"""Rules about changes: from the report to the event and the ledger."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from events.models import Change, EvaluatorCall, Event, Firing, LedgerEntry, Queue, TriggerDay
from events.objects import delete, report
from events.triggers import evaluate_inbox, prune, tasks
from events.triggers.conditions import Condition, Facts, Operator, became_met, judge
from notifications.models import Endpoint, Subscription
from tests.factories import WebhookSubscriptionFactory

from .conftest import Rules, fired, outcomes

ACCOUNT = {"name": "EXAMPLE-001", "currency": "USD", "balance": "1250.00", "is_test": False}
RULE = [
    ("state", "from_to", "Active", "Suspended"),
    ("account.currency", "is", "USD"),
    ("account.balance", "gt", "1000"),
    ("account.is_test", "is_not", "true"),
]


def report_service(state: str, account: dict[str, Any] = ACCOUNT, number: str = "4001") -> None:
    report("account", "1001", account)
    report("package", "2001", {"name": "IoT", "account": {"id": "1001"}})
    report(
        "service",
        number,
        {"name": "SIM Data", "state": state, "package": {"id": "2001"}, "account": {"id": "1001"}},
    )


@pytest.mark.parametrize(
    ("account", "states", "expected", "reason"),
    [
        ({}, ["Active", "Suspended"], 1, ""),
        ({}, ["Active", "Suspended", "Suspended"], 1, ""),
        ({}, ["Active", "Suspended", "Active", "Suspended"], 2, ""),
        (
            {},
            ["Trial", "Suspended"],
            0,
            "state changed from Active to Suspended: not met, it is Suspended, before Trial.",
        ),
        ({"currency": "CAD"}, ["Active", "Suspended"], 0, "account.currency is USD: not met, it is CAD."),
        (
            {"balance": "1000.00"},
            ["Active", "Suspended"],
            0,
            "account.balance is over 1000: not met, it is 1000.00.",
        ),
        ({"is_test": True}, ["Active", "Suspended"], 0, "account.is_test is not true: not met, it is true."),
        (
            {"balance": None},
            ["Active", "Suspended"],
            0,
            "account.balance is over 1000: not met, it is nothing.",
        ),
    ],
)
def test_a_service_suspended_on_a_rich_account_fires_at_each_change_and_says_why_it_did_not(
    rules: Rules, account: dict[str, Any], states: list[str], expected: int, reason: str
) -> None:
    trigger = rules("change", RULE)
    for state in states:
        report_service(state, {**ACCOUNT, **account})
    evaluate_inbox()
    assert len(fired("service.state_transitioned")) == expected == outcomes(trigger).count("fired")
    if reason:
        assert LedgerEntry.objects.filter(trigger=trigger).latest("id").detail == reason


def test_the_event_carries_the_object_its_parents_and_the_change(rules: Rules) -> None:
    rules("change", RULE)
    report_service("Active")
    report_service("Suspended")
    evaluate_inbox()
    [event] = fired()
    data = json.loads(event.data)
    assert data["transition"]["from_state"] == "Active"
    assert data["transition"]["to_state"] == data["service"]["state"] == "Suspended"
    assert (data["account"]["balance"], data["package"]["name"]) == ("1250.00", "IoT")
    assert (event.account, event.ordering_key, event.source) == ("1001", "account:1001", "object_change")
    entry = LedgerEntry.objects.get(outcome="fired")
    assert (entry.event_id, entry.kind, entry.external_id, entry.account) == (
        event.pk,
        "service",
        "4001",
        "1001",
    )
    assert [each["met"] for each in entry.findings] == [True] * 4


def test_parents_are_judged_as_they_were_at_the_change(rules: Rules) -> None:
    trigger = rules("change", RULE)
    report_service("Active")
    report_service("Suspended")
    report("account", "1001", {**ACCOUNT, "balance": "0.00"})
    evaluate_inbox()
    assert outcomes(trigger).count("fired") == 1
    assert json.loads(fired()[0].data)["account"]["balance"] == "1250.00"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"on_create": True, "on_update": False}, ["create"]),
        ({}, ["update", "update"]),
        ({"on_update": False, "on_delete": True}, ["delete"]),
        ({"on_create": True, "on_delete": True}, ["create", "update", "update", "delete"]),
    ],
)
def test_a_rule_looks_at_its_operations_only(
    rules: Rules, flags: dict[str, bool], expected: list[str]
) -> None:
    rules("change", once="every", **flags)
    for state in ("Trial", "Active", "Suspended"):
        report_service(state)
    delete("service", "4001")
    evaluate_inbox()
    entries = LedgerEntry.objects.filter(outcome="fired").order_by("id")
    changes = Change.objects.in_bulk([entry.change_id for entry in entries])
    assert [changes[entry.change_id].operation for entry in entries] == expected


@pytest.mark.parametrize(("once", "expected"), [("change", 2), ("every", 3), ("object", 1), ("period", 2)])
def test_how_often_a_rule_fires_is_the_administrators_choice(rules: Rules, once: str, expected: int) -> None:
    trigger = rules("change", [("state", "is", "Suspended")], once=once, period_path="period", on_create=True)
    for state, period, note in [
        ("Active", 1, 1), ("Suspended", 1, 1), ("Suspended", 1, 2), ("Active", 2, 1), ("Suspended", 2, 1),
    ]:  # fmt: skip
        report("service", "1", {"state": state, "period": period, "note": note, "account": {"id": "1"}})
    evaluate_inbox()
    assert len(fired()) == expected == outcomes(trigger).count("fired")


def test_a_faulty_rule_hurts_neither_the_others_nor_the_report(rules: Rules) -> None:
    bad = rules("change", object_kind="bucket", once="every", position=1)  # its event wants a service
    worse = rules("threshold", [], [100], tiers_path="tiers", position=2)  # its key does not fit the column
    good = rules("change", object_kind="bucket", event="usage.threshold_exceeded", once="every", position=3)
    for used in (1, 100):
        tiers = [{"number": 10**70, "size": 100}]
        report("bucket", "1", {"used": used, "tiers": tiers, "account": {"id": "1"}})
    evaluate_inbox()
    assert [outcomes(each) for each in (bad, worse, good)] == [["faulty"], ["not_met", "faulty"], ["fired"]]
    assert "service.id is missing" in LedgerEntry.objects.get(trigger=bad).detail
    assert "value too long" in LedgerEntry.objects.get(trigger=worse, outcome="faulty").detail
    assert Firing.objects.count() == Event.objects.count() == 1
    assert not Change.objects.filter(evaluated_at=None).exists()


def test_an_event_type_that_is_off_is_told_in_the_ledger(rules: Rules, types: Any) -> None:
    trigger = rules("change", once="every", on_create=True)
    types["service.state_transitioned"].is_active = False
    types["service.state_transitioned"].save()
    report_service("Active")
    evaluate_inbox()
    assert (outcomes(trigger), fired()) == (["inactive"], [])
    assert not Firing.objects.exists()


def test_what_is_evaluated_again_fires_nothing_twice(rules: Rules) -> None:
    trigger = rules("change", RULE)
    report_service("Active")
    report_service("Suspended")
    evaluate_inbox()
    Change.objects.update(evaluated_at=None)  # as if the transaction had been lost
    evaluate_inbox()
    assert len(fired()) == 1
    assert outcomes(trigger)[-1] == "already"


def test_not_met_rows_are_bounded_a_rule_and_day_and_the_rest_is_counted(rules: Rules, settings: Any) -> None:
    trigger = rules("change", [("state", "is", "Nowhere")])
    settings.TRIGGER_LEDGER_MOST_A_DAY = 3
    for state in "ABCDEFG":
        report_service(state)
    evaluate_inbox()
    assert TriggerDay.objects.get(trigger=trigger, outcome="not_met").count == 6
    assert len(outcomes(trigger)) == 3


def facts(before: Any, after: Any) -> Facts:
    return Facts(
        kind="service", before=before, after=after, today=date(2026, 11, 22), load_parents=lambda: {}
    )


@pytest.mark.parametrize(
    ("operator", "value", "value_to", "seen", "met"),
    [
        ("is", "1000", "", "1000.00", True),
        ("is", "7", "", "007", False),
        ("is", "Active", "", "active", False),
        ("is", "yes", "", True, True),
        ("is", "false", "", None, True),
        ("is_not", "true", "", None, True),
        ("in", "USD, CAD", "", "CAD", True),
        ("not_in", "USD, CAD", "", "EUR", True),
        ("gt", "1000", "", "1000.01", True),
        ("gt", "1000", "", "text", False),
        ("ge", "1000", "", 1000, True),
        ("lt", "today", "", "2026-11-21", True),
        ("lt", "today - 1", "", "2026-11-21", False),
        ("le", "2026-11-22", "", "2026-11-22", True),
        ("gt", "2026-11-22T10:00:00+00:00", "", "2026-11-22T12:00:00+01:00", True),
        ("between", "10", "20", "10", True),
        ("between", "10", "20", "20.1", False),
        ("empty", "", "", [], True),
        ("empty", "", "", 0, False),
        ("not_empty", "", "", "x", True),
    ],
)
def test_a_condition_compares_numbers_and_dates_by_value(
    operator: str, value: str, value_to: str, seen: Any, met: bool
) -> None:
    condition = Condition(field="a.b", operator=Operator(operator), value=value, value_to=value_to)
    assert judge([condition], facts(None, {"a": {"b": seen}})).is_met is met


@pytest.mark.parametrize(
    ("operator", "value", "value_to", "before", "after", "met"),
    [
        ("changed", "", "", {"a": 1}, {"a": 2}, True),
        ("changed", "", "", {"a": "19.9"}, {"a": "19.90"}, False),
        ("changed", "", "", None, {"a": 2}, True),
        ("from_to", "A", "B", {"a": "A"}, {"a": "B"}, True),
        ("from_to", "A", "B", None, {"a": "B"}, False),
        ("changed_to", "B", "", None, {"a": "B"}, True),
        ("changed_to", "B", "", {"a": "B"}, {"a": "B"}, False),
        ("changed_from", "A", "", {"a": "A"}, {"a": None}, True),
        ("is", "B", "", {"a": "A"}, {"a": "B"}, True),
        ("is", "B", "", {"a": "B"}, {"a": "B", "x": 1}, False),
        ("is", "B", "", None, {"a": "B"}, True),
    ],
)
def test_a_rule_fires_when_its_conditions_become_true(
    operator: str, value: str, value_to: str, before: Any, after: Any, met: bool
) -> None:
    condition = Condition(field="a", operator=Operator(operator), value=value, value_to=value_to)
    assert became_met([condition], facts(before, after)).is_met is met


def test_any_and_all_join_conditions() -> None:
    first = Condition(field="a", operator=Operator.IS, value="1")
    second = Condition(field="b", operator=Operator.IS, value="1")
    state = facts(None, {"a": 1, "b": 2})
    assert judge([first, second], state, match_all=False).is_met
    assert not judge([first, second], state).is_met
    assert judge([], state, match_all=False).is_met


def test_many_reports_call_the_evaluator_once_and_it_answers(
    rules: Rules, django_capture_on_commit_callbacks: Any
) -> None:
    rules("change", RULE)
    for state in ("Active", "Suspended"):
        with django_capture_on_commit_callbacks(execute=True):
            report_service(state)
    assert OrmQ.objects.count() == 1
    assert tasks.evaluate() == 4  # the account, the package, and the service twice
    assert len(fired()) == 1
    assert EvaluatorCall.objects.get().wanted_at is None  # the next report calls again


def test_retention_removes_what_is_old_and_keeps_what_fired_once(rules: Rules, settings: Any) -> None:
    trigger = rules("change", RULE)
    report_service("Active")
    report_service("Suspended")
    evaluate_inbox()
    assert prune.prune() == 0
    LedgerEntry.objects.update(at=timezone.now() - timedelta(days=91))
    assert prune.prune() == 1
    assert outcomes(trigger) == []
    assert Firing.objects.count() == 1


@pytest.mark.parametrize("case", ["heard", "no queue", "inactive", "paused queue", "endpoint off"])
def test_an_event_that_nobody_hears_of_says_so(rules: Rules, types: Any, case: str) -> None:
    trigger = rules("change", RULE)
    WebhookSubscriptionFactory(name="ERP", queue=Queue.objects.get(name="billing"))
    if case == "no queue":
        types["service.state_transitioned"].routes.all().delete()
    Subscription.objects.update(is_active=case != "inactive")
    Queue.objects.update(is_paused=case == "paused queue")
    Endpoint.objects.update(is_active=case != "endpoint off")
    report_service("Active")
    report_service("Suspended")
    evaluate_inbox()
    entry = LedgerEntry.objects.get(trigger=trigger)
    expected = {"heard": "", "no queue": "No queue takes service.state_transitioned"}
    told = expected.get(case, "Every subscription to it is inactive or paused: ERP.")
    assert (entry.outcome, told in entry.detail) == ("fired" if case == "heard" else "inactive", True)
    assert entry.event_id == fired()[0].pk
