"""Parameters of callouts: where values come from, what a missing one does, where they go and how they are written."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from events.models import BillingObject
from events.objects import delete, report
from events.publish import publish
from notifications import operate, vet_callout
from notifications.data_source import DataSource, check_path
from notifications.engine import Engine
from notifications.models import Attempt, Delivery, EndpointHeader, Parameter, RenderedBody
from notifications.parameters import MAX_HEADER, Given, ParameterFault, line, place
from notifications.tokens import offer
from tests.factories import WebhookSubscriptionFactory

PAYLOAD: dict[str, Any] = {
    "event": {"type": "service.state_transitioned", "label": "Service changed"},
    "account": {"id": "1001", "name": "EXAMPLE-001", "status": None},
    "service": {"id": 4001, "numbers": ["a", "b"], "quota": Decimal("19.90"), "is_on": True},
    "contact": {"email": "ada@example.com"},
}


@pytest.fixture
def objects(db: None) -> dict[str, BillingObject]:
    """A service of a package of an account, each with a field that no payload has."""
    account = BillingObject.objects.create(
        kind="account",
        external_id="1001",
        state={
            "segment": "gold",
            "status": "Active",
            "contact": {"email": "x@example.com"},
            "lines": [{"a": 1}],
        },
    )
    package = BillingObject.objects.create(
        kind="package", external_id="2001", parent=account, state={"code": "IOT", "tags": ["a", "b"]}
    )
    service = BillingObject.objects.create(
        kind="service", external_id="4001", parent=package, state={"sla": 4.5, "deep": {"er": "yes"}}
    )
    return {"account": account, "package": package, "service": service}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("account.name", "EXAMPLE-001"),  # the payload's
        ("account.segment", "gold"),  # the account that the payload names
        ("account.status", "Active"),  # null in the payload says nothing
        ("package.code", "IOT"),  # named nowhere: above the service
        ("package.tags", ["a", "b"]),
        ("service.sla", Decimal("4.5")),
        ("service.deep.er", "yes"),
        ("service.deep", None),  # an object is no value
        ("account.lines", None),  # nor is a list of them: to-many
        ("account.contact.email", None),
        ("contact.email", None),
        ("invoice.total", None),
        ("account", None),
    ],
)
def test_a_data_source_is_the_payload_then_the_object_it_leads_to(
    objects: dict[str, BillingObject], path: str, expected: Any
) -> None:
    assert DataSource(PAYLOAD, "service").plain(path) == expected


def test_objects_are_read_in_one_statement_and_only_when_the_payload_lacks_a_value(
    objects: dict[str, BillingObject], django_assert_num_queries: Any
) -> None:
    source = DataSource(PAYLOAD, "service")
    with django_assert_num_queries(0):
        source.plain("account.name")
    with django_assert_num_queries(1):
        source.plain("account.segment")
        source.plain("package.code")


def test_what_the_payload_names_is_nearer_than_what_the_object_belonged_to(
    objects: dict[str, BillingObject],
) -> None:
    BillingObject.objects.create(kind="account", external_id="7", state={"segment": "new"})
    moved = PAYLOAD | {"account": {"id": "7"}}
    assert DataSource(moved, "service").plain("account.segment") == "new"


@pytest.mark.parametrize(
    ("code", "path", "fault"),
    [
        ("service.state_transitioned", "account.segment", ""),
        ("service.state_transitioned", "package.anything.deep", ""),
        ("bill_run.completed", "bill_run.operator", ""),
        (
            "bill_run.completed",
            "account.segment",
            "a bill run covers many accounts. Objects to begin with: bill_run.",
        ),
        ("invoice.posted", "service.name", "not every chosen event type leads to one such object"),
        (
            "invoice.posted",
            "account",
            "names no field: write the object and its field, such as account.status",
        ),
        ("invoice.posted", "account..x", "names no field"),
        ("invoice.posted", "contact.email", "contacts are for email only, never for webhooks"),
        ("invoice.posted", "account.contact.email", "contacts are for email only"),
    ],
)
def test_a_path_begins_with_an_object_that_the_event_leads_to(
    catalog: dict[str, Any], code: str, path: str, fault: str
) -> None:
    offered = offer([catalog[code]], medium="webhook")
    if not fault:
        check_path(path, offered)
        return
    with pytest.raises(ValidationError) as caught:
        check_path(path, offered)
    assert fault in caught.value.messages[0]


def given(name: str = "p", **values: Any) -> Given:
    return Given(**{"name": name, "source": "token", "value": "account.name", "placement": "body"} | values)


def placed(*parameters: Given) -> Any:
    return place(parameters, PAYLOAD, DataSource(PAYLOAD, "service"), of="dlv_1")


@pytest.mark.parametrize("source", ["token", "data", "liquid"])
@pytest.mark.parametrize(
    ("if_missing", "expected"),
    [("empty", {"token": None, "data": None, "liquid": "=  EUR"}), ("default", "n/a")],
)
def test_an_event_without_a_value_sends_it_empty_or_the_default(
    objects: dict[str, BillingObject], source: str, if_missing: str, expected: Any
) -> None:
    value = "= {{ account.balance }} EUR" if source == "liquid" else "account.balance"
    one = given(source=source, value=value, if_missing=if_missing, default="n/a")
    assert placed(one).body == {"p": expected if isinstance(expected, str) else expected[source]}


@pytest.mark.parametrize(
    ("source", "value", "fails"),
    [
        ("token", "account.balance", True),
        ("token", "account.status", False),  # the account has one
        ("data", "account.balance", True),
        ("liquid", "{{ account.balance }}", True),
        ("liquid", "x {{ account.balance | money }}", True),
        ("liquid", "{{ account.balance | default: 'none' }}", False),
        ("liquid", "{% if account.balance %}{{ account.balance }}{% else %}none{% endif %}", False),
        ("liquid", "{% if account.balance %}{{ account.balance }}{% endif %}", True),  # blank
        ("liquid", "{% assign b = account.name %}{{ b }}", False),
        ("liquid", "{{ account.segment }}", False),
    ],
)
def test_a_delivery_is_held_where_the_administrator_wants_no_callout_without_the_value(
    objects: dict[str, BillingObject], source: str, value: str, fails: bool
) -> None:
    one = given(source=source, value=value, if_missing="fail")
    if not fails:
        assert placed(one).body["p"]
        return
    with pytest.raises(ParameterFault, match=r"^Parameter “p”: .* has no value in this event"):
        placed(one)


def test_parameters_keep_the_order_of_their_rows_wherever_they_go() -> None:
    rows = [
        given(f"{where}{number}", source="static", value=str(number), placement=where)
        for number in (3, 1, 2)
        for where in ("body", "header", "query")
    ]
    result = placed(*rows)
    assert list(result.body) == ["body3", "body1", "body2"]
    assert result.headers == (("header3", "3"), ("header1", "1"), ("header2", "2"))
    assert result.query == (("query3", "3"), ("query1", "1"), ("query2", "2"))


@pytest.mark.parametrize(
    ("value", "in_body", "as_line"),
    [
        ("service.quota", Decimal("19.90"), "19.90"),
        ("service.is_on", True, "true"),
        ("service.id", 4001, "4001"),
        ("service.numbers", ["a", "b"], '["a", "b"]'),
        ("account.nothing", None, ""),
    ],
)
def test_a_value_keeps_its_kind_in_the_body_and_is_a_line_elsewhere(
    db: None, value: str, in_body: Any, as_line: str
) -> None:
    assert placed(given(value=value)).body == {"p": in_body}
    assert placed(given(value=value, placement="header")).headers == (("p", as_line),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nx-injected: b", "a x-injected: b"),
        ("  a\t\x00\x1f\x7f\u0085\u2028b  ", "a b"),
        ("ë€ 漢字", "ë€ 漢字"),
    ],
)
def test_a_header_is_one_line_without_control_characters(text: str, expected: str) -> None:
    assert line(text) == expected


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([given("h", source="static", value="€" * 1400, placement="header")], f"holds {MAX_HEADER:,} bytes"),
        ([given(f"h{n}", source="static", value="x" * 4000, placement="header") for n in range(3)], "8,192"),
        ([given("q", source="static", value="€" * 500, placement="query")], "4,500|4,502"),
    ],
)
def test_what_servers_on_the_way_would_cut_is_not_sent(rows: list[Given], fault: str) -> None:
    with pytest.raises(ParameterFault, match=fault):
        placed(*rows)


def test_a_body_that_its_parameters_make_too_long_is_held(catalog: Any, https_receiver: Any) -> None:
    subscription: Any = WebhookSubscriptionFactory()
    for number in range(5):
        Parameter.objects.create(subscription=subscription, name=f"n{number}", value="invoice.number")
    data = {"account": {"id": "1"}, "invoice": {"id": "1", "number": "x" * 220_000, "total": "1.00"}}
    publish("invoice.posted", data)
    Engine(until_idle=True).run()
    assert "1,048,576 are sent. Leave some of them out." in Delivery.objects.get().last_error
    assert https_receiver.received == []


@pytest.mark.parametrize(
    ("name", "placement", "fault"),
    [
        ("Content-Type", "header", "set by the callout itself"),
        ("webhook-id", "header", "set by the callout itself"),
        ("Bellwether-Lane", "header", "set by the callout itself"),
        ("data", "body", "The member data is set by the callout itself. Choose another, such as my_data."),
        ("constructor", "body", "Programs in JavaScript misread"),
        ("data", "query", ""),
        ("x-data", "header", ""),
    ],
)
def test_reserved_names_are_refused_by_field(
    catalog: dict[str, Any], name: str, placement: str, fault: str
) -> None:
    offered = offer([catalog["invoice.posted"]], medium="webhook")
    row = Parameter(name=name, source="static", value="x", placement=placement)
    if not fault:
        vet_callout.check_parameter(row, offered)
        return
    with pytest.raises(ValidationError) as caught:
        vet_callout.check_parameter(row, offered)
    assert fault in caught.value.message_dict["name"][0]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([("X-A", "header"), ("x-a", "header")], "x-a is given twice"),
        ([("tenant", "query")], "a query with tenant already"),
        ([("x-tenant", "header")], "itself sets the header X-Tenant already"),
        ([("X-Key", "header")], "itself sets the header X-Key already"),
        ([("x-tenant", "body")], ""),
        ([(f"p{n}", "body") for n in range(51)], "at most 50 parameters; these are 51"),
        ([("tenant", "body"), ("X-A", "header"), ("x-a", "query")], ""),
    ],
)
def test_parameters_do_not_stand_in_each_others_way(
    catalog: dict[str, Any], rows: list[tuple[str, str]], fault: str
) -> None:
    subscription = WebhookSubscriptionFactory(
        endpoint__path="/hook?tenant=7", endpoint__api_key_header="X-Key", endpoint__api_key="a key"
    )
    EndpointHeader.objects.create(endpoint=subscription.endpoint, name="X-Tenant", value="7")
    parameters = [Parameter(name=name, source="static", value="x", placement=where) for name, where in rows]
    if not fault:
        vet_callout.check_parameters(subscription, parameters)
        return
    with pytest.raises(ValidationError, match=fault):
        vet_callout.check_parameters(subscription, parameters)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": ""}, "value"),
        ({"is_secret": True, "source": "token"}, "is_secret"),
        ({"is_secret": True, "value": ""}, "value"),
        ({"is_secret": True, "value": "short"}, "value"),
        ({"source": "token", "if_missing": "default"}, "default_value"),
        ({"source": "token", "default_value": "x"}, "default_value"),
        ({"if_missing": "fail"}, "if_missing"),
    ],
)
def test_a_contradiction_is_refused_at_its_field(changes: dict[str, Any], field: str) -> None:
    row = Parameter(**{"name": "p", "source": "static", "value": "some text"} | changes)
    with pytest.raises(ValidationError) as caught:
        row.clean()
    assert list(caught.value.message_dict) == [field]


SECRET = 'k"€-t0p s3cret'


def test_a_secret_reaches_the_receiver_and_is_on_no_record(catalog: Any, https_receiver: Any) -> None:
    subscription = WebhookSubscriptionFactory()
    for where in ("body", "header", "query"):
        row = Parameter(
            subscription=subscription, name=f"x-{where}", source="static", value=SECRET, is_secret=True,
            placement=where,
        )  # fmt: skip
        row.full_clean()
        row.save()
    # A receiver that repeats all it was sent, and points to itself.
    https_receiver.script = lambda got: (
        (
            301,
            {"Location": f"https://elsewhere.example{got.path}", "X-Echo": got.headers["x-header"]},
            got.body,
        )
        if got.number == 1
        else (204, {}, b"")
    )
    publish("invoice.posted", catalog["invoice.posted"].sample)
    Engine(until_idle=True).run()
    delivery = Delivery.objects.get()
    operate.retry([delivery.pk], subscription.subscriber, "")
    Engine(until_idle=True).run()

    [first, second] = https_receiver.received
    assert first.body == second.body
    assert first.path == second.path == "/hook?x-query=k%22%E2%82%AC-t0p+s3cret"
    assert json.loads(first.body)["parameters"] == {"x-body": SECRET}
    assert first.headers["x-header"].encode("latin-1").decode() == SECRET
    with connection.cursor() as cursor:
        for model in (Parameter, Attempt, RenderedBody, Delivery):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {model._meta.db_table} t")
            [text] = cursor.fetchone()
            assert "t0p" not in text, model
    attempt = Attempt.objects.filter(delivery=delivery, status_code=301).get()
    assert "x-header: ****" in attempt.request_headers
    assert "x-query=****" in attempt.detail
    assert '"x-body": "****"' in attempt.response_body
    assert "X-Echo: ****" in attempt.response_headers


def test_a_delivery_whose_secret_was_deleted_is_held_and_says_so(catalog: Any, https_receiver: Any) -> None:
    subscription = WebhookSubscriptionFactory()
    row = Parameter(subscription=subscription, name="key", source="static", value=SECRET, is_secret=True)
    row.full_clean()
    row.save()
    https_receiver.script = lambda _: (500, {}, b"")
    publish("invoice.posted", catalog["invoice.posted"].sample)
    Engine(until_idle=True).run()
    row.delete()
    delivery = Delivery.objects.get()
    operate.retry([delivery.pk], subscription.subscriber, "")
    Engine(until_idle=True).run()

    delivery.refresh_from_db()
    assert (delivery.status, delivery.hold_cause) == ("held", "rendering")
    assert "the secret parameter “key”, which the subscription has no more" in delivery.last_error
    assert len(https_receiver.received) == 1


def test_what_was_not_reported_by_then_is_held_until_the_parameter_is_changed(
    catalog: Any, https_receiver: Any
) -> None:
    subscription: Any = WebhookSubscriptionFactory()
    row = Parameter.objects.create(
        subscription=subscription, name="segment", source="data", value="account.segment", if_missing="fail"
    )
    publish("invoice.posted", catalog["invoice.posted"].sample | {"account": {"id": "1001"}})
    Engine(until_idle=True).run()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.hold_cause, delivery.attempt_count) == ("held", "rendering", 0)
    assert "Parameter “segment”: account.segment has no value in this event" in delivery.last_error

    report("account", "1001", {"segment": "later"})
    operate.retry([delivery.pk], subscription.subscriber, "")
    Engine(until_idle=True).run()
    delivery.refresh_from_db()
    assert "Account 1001 had not been reported when the event was published" in delivery.last_error
    assert https_receiver.received == []

    Parameter.objects.filter(pk=row.pk).update(if_missing="default", default_value="none")
    operate.retry([delivery.pk], subscription.subscriber, "")
    Engine(until_idle=True).run()
    [request] = https_receiver.received
    assert json.loads(request.body)["parameters"] == {"segment": "none"}


@pytest.mark.parametrize("source", ["data", "liquid"])
def test_a_value_is_that_of_the_event_however_late_it_is_sent_and_whatever_was_reported_since(
    catalog: Any, https_receiver: Any, source: str
) -> None:
    value = "account.segment" if source == "data" else "{{ account.segment }}"
    for queue in ("first", "again"):
        Parameter.objects.create(
            subscription=WebhookSubscriptionFactory(queue__name=queue),
            name="segment",
            source=source,
            value=value,
        )
    report("account", "1001", {"segment": "gold"})
    publish("invoice.posted", catalog["invoice.posted"].sample | {"account": {"id": "1001"}})
    report("account", "1001", {"segment": "silver"})
    Engine(until_idle=True).run()
    publish("invoice.posted", catalog["invoice.posted"].sample | {"account": {"id": "1001"}})
    delete("account", "1001")
    Engine(until_idle=True).run()
    sent = [json.loads(request.body)["parameters"]["segment"] for request in https_receiver.received]
    assert sorted(sent) == ["gold", "gold", "silver", "silver"]
