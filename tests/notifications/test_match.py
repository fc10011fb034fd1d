"""Which subscription gets which event."""

import pytest

from notifications.match import Condition, Fact, Plan, holds, recipients, resolve, wants


def fact(**changes):
    values = {
        "id": 1, "type_id": 5, "operation": "create", "ordering_key": "account:1", "queue_ids": frozenset({2}),
        "data": {"invoice": {"total": "19.90", "currency": "EUR", "is_paid": False, "lines": 3}},
    }  # fmt: skip
    return Fact(**values | changes)


def plan(**changes):
    values = {
        "subscription_id": 1, "queue_id": 2, "is_ordered": True, "type_ids": frozenset(),
        "operations": frozenset({"create", "update", "delete"}), "conditions": (), "endpoint_id": 9,
        "profile_id": None, "addresses": (), "address_tokens": (),
    }  # fmt: skip
    return Plan(**values | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"queue_id": 3}, False),
        ({"type_ids": frozenset({5, 6})}, True),
        ({"type_ids": frozenset({6})}, False),
        ({"operations": frozenset({"update", "delete"})}, False),
        ({"conditions": (Condition(token="invoice.currency", operator="is", value="EUR"),)}, True),
        ({"conditions": (Condition(token="invoice.currency", operator="is", value="USD"),)}, False),
    ],
)
def test_queue_type_operation_and_every_filter_must_fit(changes, expected):
    assert wants(plan(**changes), fact()) is expected


@pytest.mark.parametrize(
    ("operator", "expected", "value", "result"),
    [
        ("is", "19.9", "19.90", True),
        ("is", "19.91", "19.90", False),
        ("is", "true", True, True),
        ("is", "x", None, False),
        ("is_not", "x", None, True),
        ("is_not", "EUR", "EUR", False),
        ("in", "EUR, USD", "USD", True),
        ("in", "EUR, USD", "CHF", False),
        ("gt", "1000", "1000.00", False),
        ("gt", "1000", "1000.01", True),
        ("lt", "3", 2, True),
        ("gt", "3", "many", False),
        ("gt", "3", "NaN", False),
        ("lt", "3", None, False),
    ],
)
def test_a_condition_compares_numbers_as_numbers_and_the_rest_as_text(operator, expected, value, result):
    assert holds(Condition(token="t", operator=operator, value=expected), value) is result


def test_a_path_that_leads_nowhere_has_no_value():
    assert resolve({"a": {"b": 1}}, "a.b") == 1
    assert resolve({"a": {"b": 1}}, "a.b.c") is None
    assert resolve({"a": [1]}, "a.b") is None


def test_recipients_are_merged_without_regard_to_case():
    mail = plan(
        endpoint_id=None,
        addresses=("B@example.com", "a@example.com"),
        address_tokens=("contact.email", "x.y"),
    )
    found = recipients(mail, fact(data={"contact": {"email": " b@example.com "}}))
    # x.y has no value: the empty address puts that on record.
    assert [address.lower() for address in found] == ["", "a@example.com", "b@example.com"]
    assert recipients(plan(), fact()) == [""]
