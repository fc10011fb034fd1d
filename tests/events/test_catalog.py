"""The catalog in code, against the design's table."""

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from events import catalog, schema
from events.models import Operation, Token

INVOICE = "core account invoice contact"
CANCELLATION = "effective_date requested_at reason requested_by"
BILL_RUN = "bill_run: id name type bill_group period_start period_end started_at started_by accounts_expected"
INVOICE_OWN = (
    "invoice: id number date due_date terms period_start period_end currency subtotal tax total paid balance "
    "line_count pdf_url bill_run_id"
)
DELIVERY = "delivery: method delivered_at recipients document_url number"
PAYMENT = (
    "payment: id number amount currency method_type method_mask gateway gateway_reference processed_at "
    "invoice_numbers is_automatic"
)

SHARED = {
    "core": (
        "event: id type label occurred_at sequence ordering_key source; owner: name; now: date time datetime"
    ),
    "account": (
        "account: id name display_name status balance balance_due bill_day currency timezone locale "
        "parent_name; account.company: name address1 address2 city state postal_code country"
    ),
    "contact": "contact: first_name last_name email type",
    "package": "package: id name code frequency status quantity start_date end_date",
    "service": "service: id name type identifier state core_state activated_on",
}

# Written out from the design: code, label of the mission, operation, groups, the event's own tokens.
DESIGN = [
    (
        "service.state_transitioned",
        "Service State Transition",
        "update",
        "core account package service contact",
        "transition: from_state to_state from_core_state to_core_state effective_at reason actor",
    ),
    (
        "account.status_changed",
        "Account Status Change",
        "update",
        "core account contact",
        "status: previous current reason changed_at changed_by",
    ),
    (
        "account.cancelled",
        "Account Cancellation",
        "delete",
        "core account contact",
        f"cancellation: {CANCELLATION} final_balance open_invoice_count termination_fee",
    ),
    ("bill_run.started", "Bill Run Started", "create", "core bill_run", BILL_RUN),
    (
        "bill_run.completed",
        "Bill Run Completed",
        "update",
        "core bill_run",
        f"{BILL_RUN} status completed_at duration_seconds accounts_processed accounts_failed "
        "invoices_created totals error_summary",
    ),
    ("invoice.posted", "Invoice Posted", "create", INVOICE, INVOICE_OWN),
    (
        "invoice.overdue",
        "Invoice Overdue",
        "update",
        INVOICE,
        f"{INVOICE_OWN} days_overdue overdue_amount; overdue: since; "
        "account: total_overdue overdue_invoice_count",
    ),
    ("invoice.delivered", "Invoice Delivery", "update", INVOICE, f"{INVOICE_OWN}; {DELIVERY}"),
    (
        "invoice.delivery_offset",
        "Invoice Delivery Date + xt",
        "update",
        INVOICE,
        f"{INVOICE_OWN} is_paid; {DELIVERY}; offset: days time timezone due_at label",
    ),
    (
        "refund.processed",
        "Refund",
        "create",
        "core account refund contact",
        "refund: id number amount currency method reason gateway_reference processed_at "
        "original_payment_number is_partial invoice_numbers",
    ),
    (
        "credit.processed",
        "Credit Processed",
        "create",
        "core account credit contact",
        "credit: id number amount applied_amount remaining_amount currency reason issued_on document_url "
        "invoice_numbers",
    ),
    ("payment.processed", "Payment Processed", "create", "core account payment contact", PAYMENT),
    (
        "payment.failed",
        "Payment Processing Error",
        "create",
        "core account payment payment_error contact",
        f"{PAYMENT}; error: code message category; attempt: count maximum next_at is_final",
    ),
    (
        "contract.under_committed",
        "Contract Under Commit",
        "update",
        "core account contract contact",
        "contract: id name status start end; commitment: type period_start period_end; "
        "tier: number name committed actual shortfall shortfall_percent unit; penalty: service amount",
    ),
    (
        "sim.dormant",
        "Dormant SIM",
        "update",
        "core account package service sim contact",
        "sim: iccid imsi msisdn imei state plan monthly_charge; dormancy: threshold_days days kind; "
        "usage: last_at last_kind never_used",
    ),
    (
        "package.cancelled",
        "Package Cancellation",
        "delete",
        "core account package contact",
        f"cancellation: {CANCELLATION} kind services_ended remaining_term_days termination_fee replaced_by",
    ),
    (
        "usage.threshold_exceeded",
        "Usage Threshold Exceeded",
        "update",
        "core account package service bucket contact",
        "bucket: id name unit period_start period_end next_tier_rate; tier: number size percent_threshold; "
        "usage: previous current percent remaining thresholds_crossed",
    ),
]
CODES = [row[0] for row in DESIGN]
every_type = pytest.mark.parametrize("spec", catalog.BUILTIN, ids=lambda spec: spec.code)


def names(text: str) -> set[str]:
    """Read `group: name name; group: name` as dotted token names."""
    pairs = (part.split(":") for part in text.split(";") if part)
    return {f"{prefix.strip()}.{name}" for prefix, rest in pairs for name in rest.split()}


def token_samples(code: str) -> dict[str, str]:
    return {each.name: each.sample for each in catalog.BY_CODE[code].tokens}


def test_the_seventeen_of_the_design_are_built_in_and_no_other() -> None:
    assert len(DESIGN) == 17
    assert sorted(spec.code for spec in catalog.BUILTIN) == sorted(CODES)


@pytest.mark.parametrize(("code", "label", "operation", "groups", "own"), DESIGN, ids=CODES)
def test_a_type_has_the_tokens_and_groups_of_the_design(
    code: str, label: str, operation: str, groups: str, own: str
) -> None:
    spec = catalog.BY_CODE[code]

    assert (spec.label, spec.operation) == (label, operation)
    assert {group.name for group in spec.groups} == set(groups.split())
    shared = names(";".join(SHARED.get(group, "") for group in groups.split()))
    assert {each.name for each in spec.tokens} == shared | names(own)


def test_a_bill_run_offers_nothing_of_accounts_services_or_contacts() -> None:
    for code in ("bill_run.started", "bill_run.completed"):
        prefixes = {each.name.split(".")[0] for each in catalog.BY_CODE[code].tokens}
        assert prefixes == {"event", "owner", "now", "bill_run"}
        assert catalog.BY_CODE[code].ordering_prefix == "bill_run"


@every_type
def test_only_contact_tokens_are_for_email_only(spec: catalog.EventTypeSpec) -> None:
    assert {each.name for each in spec.tokens if each.email_only} == {
        each.name for each in spec.tokens if each.name.startswith("contact.")
    }


@every_type
def test_every_token_says_what_it_is_and_shows_a_sample(spec: catalog.EventTypeSpec) -> None:
    for each in spec.tokens:
        assert each.description.endswith("."), each.name
        assert each.sample, each.name


def test_kinds_and_operations_are_those_of_the_models() -> None:
    assert {kind.value for kind in catalog.Kind} == set(Token.Kind.values)
    assert {spec.operation for spec in catalog.BUILTIN} == set(Operation.values)


@every_type
def test_the_sample_holds_every_token_where_its_name_says(spec: catalog.EventTypeSpec) -> None:
    data = catalog.sample(spec)

    assert not {"event", "owner", "now"} & data.keys()
    for each in spec.payload_tokens:
        place: Any = data
        for step in each.name.split("."):
            place = place[step]
        assert place == each.value


@every_type
def test_the_sample_is_valid_to_both_checkers_and_survives_json(spec: catalog.EventTypeSpec) -> None:
    data = json.loads(json.dumps(catalog.sample(spec)))
    checker = schema.checker(catalog.schema(spec))

    assert checker.accepts is not None
    assert checker.accepts(data)
    assert list(checker.validator.iter_errors(data)) == []
    assert schema.errors(spec.code, data) == []


def test_samples_are_consistent_within_themselves() -> None:
    invoice = catalog.sample(catalog.BY_CODE["invoice.posted"])["invoice"]
    run = catalog.sample(catalog.BY_CODE["bill_run.completed"])["bill_run"]
    tier = catalog.sample(catalog.BY_CODE["contract.under_committed"])["tier"]
    credit = catalog.sample(catalog.BY_CODE["credit.processed"])["credit"]
    status = catalog.sample(catalog.BY_CODE["account.status_changed"])

    assert Decimal(invoice["subtotal"]) + Decimal(invoice["tax"]) == Decimal(invoice["total"])
    assert Decimal(invoice["total"]) - Decimal(invoice["paid"]) == Decimal(invoice["balance"])
    assert run["accounts_processed"] + run["accounts_failed"] == run["accounts_expected"]
    assert Decimal(tier["committed"]) - Decimal(tier["actual"]) == Decimal(tier["shortfall"])
    assert Decimal(credit["applied_amount"]) + Decimal(credit["remaining_amount"]) == Decimal(
        credit["amount"]
    )
    assert status["account"]["status"] == status["status"]["current"]


def test_core_samples_are_those_of_the_event() -> None:
    started = token_samples("bill_run.started")

    assert (started["event.type"], started["event.label"]) == ("bill_run.started", "Bill Run Started")
    assert started["event.ordering_key"] == "bill_run:88"
    assert token_samples("invoice.posted")["event.ordering_key"] == "account:1001"
    assert token_samples("sim.dormant")["event.source"] == "inactivity"


@every_type
def test_a_schema_is_valid_named_and_open(spec: catalog.EventTypeSpec) -> None:
    built = catalog.schema(spec)

    schema.check_schema(built)
    assert built["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert built["$id"] == f"urn:bellwether:event:{spec.code}"
    data = catalog.sample(spec) | {"custom": {"field": [1]}}
    data[spec.ordering_prefix]["custom"] = {"more": None}
    assert schema.errors(spec.code, data) == []


def test_a_copy_of_a_sample_shares_nothing_with_the_next() -> None:
    spec = catalog.BY_CODE["bill_run.completed"]
    first = catalog.sample(spec)
    before = copy.deepcopy(first)
    first["bill_run"]["totals"].clear()
    assert catalog.sample(spec) == before
