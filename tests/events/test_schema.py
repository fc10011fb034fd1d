"""Payloads against the schemas of their event types, and schemas of administrators."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import catalog, schema

every_type = pytest.mark.parametrize("spec", catalog.BUILTIN, ids=lambda spec: spec.code)


@every_type
def test_a_missing_required_field_is_named(spec: catalog.EventTypeSpec) -> None:
    for name in {spec.ordering_path, *spec.required}:
        *parents, last = name.split(".")
        data = catalog.sample(spec)
        place = data
        for parent in parents:
            place = place[parent]
        del place[last]

        [error] = schema.errors(spec.code, data)
        assert error.field == "/" + name.replace(".", "/")
        assert error.detail.startswith(f"{name} is missing: send ")


def test_a_missing_object_names_the_field_that_it_must_hold() -> None:
    assert {error.field for error in schema.errors("invoice.posted", {})} == {"/account/id", "/invoice/id"}


@every_type
def test_a_required_id_may_be_a_whole_number_and_not_empty_or_null(spec: catalog.EventTypeSpec) -> None:
    data = catalog.sample(spec)
    for value, refused in [(7, 0), ("", 1), (None, 1), (True, 1), ({}, 1)]:
        data[spec.ordering_prefix]["id"] = value
        fields = [error.field for error in schema.errors(spec.code, data)]
        assert fields == [f"/{spec.ordering_prefix}/id"] * refused


@pytest.mark.parametrize(
    ("path", "value", "remedy"),
    [
        ("invoice/total", "1,249.00", 'e.g. "249.00"'),
        ("invoice/total", "249.00\n", 'e.g. "249.00"'),
        ("invoice/total", float("nan"), 'e.g. "249.00"'),
        ("invoice/total", [249], "send text, a number or null"),
        ("invoice/date", "22.11.2026", "YYYY-MM-DD"),
        ("invoice/date", "20261122", "YYYY-MM-DD"),
        ("invoice/date", "2026-02-29", "YYYY-MM-DD"),
        ("delivery/delivered_at", "2026-11-22T14:05:31", "RFC 3339 with an offset"),
        ("delivery/delivered_at", "2026-11-22T25:05:31Z", "RFC 3339 with an offset"),
        ("delivery/method", "pigeon", '"email", "print", "portal"'),
        ("offset/time", "9 o'clock", "e.g. 09:00"),
        ("offset/days", "5", "send a whole number or null"),
        ("invoice/is_paid", "no", "send true or false or null"),
        ("account/company/city", 4, "send text or null"),
        ("account/bill_day", 31, "send 28 or less"),
        ("account/bill_day", 0, "send 1 or more"),
        ("contact", "Alex", "send an object or null"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_the_remedy(path: str, value: Any, remedy: str) -> None:
    data = catalog.sample(catalog.BY_CODE["invoice.delivery_offset"])
    *parents, last = path.split("/")
    place = data
    for parent in parents:
        place = place[parent]
    place[last] = value

    [error] = schema.errors("invoice.delivery_offset", data)
    assert error.field == f"/{path}"
    assert remedy in error.detail


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("invoice/total", 249),
        ("invoice/total", 249.5),
        ("invoice/total", "-249"),
        ("invoice/total", None),
        ("delivery/delivered_at", "2026-11-22t09:05:31.123456789-05:00"),
        ("offset/time", "09:00:30"),
        ("contact", None),
    ],
)
def test_what_billing_systems_really_send_is_accepted(path: str, value: Any) -> None:
    data = catalog.sample(catalog.BY_CODE["invoice.delivery_offset"])
    *parents, last = path.split("/")
    place = data
    for parent in parents:
        place = place[parent]
    place[last] = value

    assert schema.errors("invoice.delivery_offset", data) == []


def test_a_manual_payment_is_not_a_processed_payment() -> None:
    data = catalog.sample(catalog.BY_CODE["payment.processed"])
    data["payment"]["is_automatic"] = False

    [error] = schema.errors("payment.processed", data)
    assert error.field == "/payment/is_automatic"
    assert "manual payments are not of this type" in error.detail

    del data["payment"]["is_automatic"]
    assert schema.errors("payment.processed", data) == []


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_a_payload_that_is_no_object_is_refused(data: Any) -> None:
    [error] = schema.errors("invoice.posted", data)
    assert (error.field, error.detail.endswith("send an object.")) == ("", True)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ([], "is a JSON object"),
        ({"type": "strng"}, "/type"),
        ({"properties": {"a": {"pattern": "["}}}, "/properties/a/pattern"),
        ({"required": "a"}, "/required"),
        ({"$ref": "https://schemas.example.com/a.json"}, "nothing is ever fetched"),
        ({"properties": {"a": {"$ref": "file:///etc/hostname"}}}, "nothing is ever fetched"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "nothing is ever fetched"),
        ({"title": "x", "$ref": "#/title"}, "#/title"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "2020-12"),
    ],
)
def test_a_broken_schema_is_refused_at_save_with_the_reason(broken: Any, says: str) -> None:
    with pytest.raises(schema.InvalidSchemaError) as caught:
        schema.check_schema(broken)
    assert says in caught.value.messages[0]


def test_an_administrators_schema_may_use_its_own_parts() -> None:
    own = {
        "$defs": {"money": {"type": "string", "format": "decimal"}},
        "type": "object",
        "properties": {"fee": {"$ref": "#/$defs/money"}, "$ref": {"type": "string"}},
        "additionalProperties": False,
    }
    schema.check_schema(own)

    assert schema.errors(own, {"fee": "1.50", "$ref": "x"}) == []
    assert [error.field for error in schema.errors(own, {"fee": "free"})] == ["/fee"]
    assert [error.field for error in schema.errors(own, {"other": 1})] == [""]
    assert schema.errors({}, {"anything": 1}) == []


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "249.00",
            "-1",
            "1.",
            "2026-11-22",
            "2026-13-01",
            "2026-11-22T14:03:09Z",
            "09:00",
            "email",
            "",
            True,
            1,
            1.0,
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


# No deadline: a busy machine is not a fault.
@settings(deadline=None)
@given(data=st.data())
def test_the_quick_way_accepts_nothing_that_jsonschema_refuses(data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from(catalog.BUILTIN))
    payload = catalog.sample(spec)
    for each in data.draw(st.lists(st.sampled_from(spec.payload_tokens), min_size=1, max_size=3)):
        cut = data.draw(st.integers(1, len(each.path)))
        *parents, last = each.path[:cut]
        place: Any = payload
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = data.draw(VALUES)
    checker = schema.checker(catalog.schema(spec))
    assert checker.accepts is not None
    if checker.accepts(payload):
        assert list(checker.validator.iter_errors(payload)) == []
    assert bool(schema.errors(spec.code, payload)) == (not checker.validator.is_valid(payload))
