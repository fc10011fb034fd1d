"""Which tokens may be used where, and how a refusal reads."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from events.models import EventType, Queue, Subscriber
from notifications import vet, vet_mail
from notifications.models import EmailTemplate, Endpoint, Filter, Parameter, Recipient, Subscription
from notifications.tokens import Medium, legal_tokens, offer, refuse_illegal
from tests import tables


@pytest.fixture
def types(db: None) -> dict[str, EventType]:
    tables.fill(tables.CATALOG)
    return {each.code: each for each in EventType.objects.all()}


@pytest.fixture
def billing(types: dict[str, EventType]) -> Queue:
    return Queue.objects.get(name="billing")


@pytest.fixture
def subscriber(db: None) -> Subscriber:
    return Subscriber.objects.create(name="Example Telecom")


@pytest.fixture
def webhook(subscriber: Subscriber, billing: Queue) -> Subscription:
    endpoint = Endpoint.objects.create(
        subscriber=subscriber, name="main", base_url="https://hooks.example.com"
    )
    return Subscription(subscriber=subscriber, name="hooks", queue=billing, endpoint=endpoint)


@pytest.fixture
def template(types: dict[str, EventType]) -> EmailTemplate:
    template = EmailTemplate.objects.create(
        name="Posted", subject="{{ invoice.number }}", text="{{ invoice.total }}"
    )
    template.event_types.add(types["invoice.posted"])
    return template


@pytest.fixture
def email(subscriber: Subscriber, billing: Queue, template: EmailTemplate) -> Subscription:
    return Subscription(subscriber=subscriber, name="mails", queue=billing, email_template=template)


def refusals(name: str, types: dict[str, EventType], codes: str, medium: Medium = "email") -> list[str]:
    with pytest.raises(ValidationError) as caught:
        refuse_illegal([name], offer([types[code] for code in codes.split()], medium=medium))
    return caught.value.messages


def faults(subscription: Subscription, **parts: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        vet.check_subscription(subscription, **{"event_types": [], **parts})
    return caught.value.message_dict


def test_tokens_of_several_types_are_what_all_of_them_offer(types: dict[str, EventType]) -> None:
    legal = legal_tokens([types["invoice.posted"], types["payment.failed"]], medium="email")
    assert {"account.name", "contact.email", "event.id", "owner.name"} <= legal.keys()
    assert not {"invoice.total", "payment.amount", "error.code"} & legal.keys()


def test_webhooks_get_no_contact_tokens(types: dict[str, EventType]) -> None:
    legal = legal_tokens([types["invoice.posted"]], medium="webhook")
    assert "invoice.total" in legal
    assert not [name for name in legal if name.startswith("contact.")]


def test_no_event_type_offers_nothing(db: None) -> None:
    assert legal_tokens([], medium="email") == {}


def test_a_list_may_be_looked_into_and_a_text_may_not(types: dict[str, EventType]) -> None:
    offered = offer([types["payment.processed"]], medium="email")
    assert offered.find("payment.invoice_numbers.first")
    assert offered.find("payment.invoice_numbers")
    assert offered.find("payment.number.size")
    assert offered.find("payment.number.first") is None
    assert offered.find("payment") is None


@pytest.mark.parametrize(
    ("name", "codes", "medium", "message"),
    [
        (
            "invoice.totl",
            "invoice.posted",
            "email",
            "“invoice.totl” cannot be used here: invoice.posted does not offer it. Did you mean “invoice.total”?",
        ),
        (
            "invoice.total",
            "invoice.posted payment.failed",
            "email",
            "“invoice.total” cannot be used here: not every chosen event type offers it: payment.failed does not.",
        ),
        (
            "contact.email",
            "invoice.posted",
            "webhook",
            "“contact.email” cannot be used here: contact tokens exist for email only, never for webhooks.",
        ),
        (
            "service.name",
            "bill_run.completed",
            "email",
            "cannot be used here: a bill run covers many services.",
        ),
        (
            "account.id",
            "bill_run.started",
            "webhook",
            "cannot be used here: a bill run covers many accounts.",
        ),
        ("invoice", "invoice.posted", "email", "it is a group of tokens, so name one of them"),
        (
            "refund.amount",
            "invoice.posted payment.failed",
            "email",
            "none of the chosen event types offers it",
        ),
    ],
)
def test_a_refusal_says_why_and_what_would_be_right(
    types: dict[str, EventType], name: str, codes: str, medium: Medium, message: str
) -> None:
    assert message in refusals(name, types, codes, medium)[0]


def test_without_chosen_types_a_subscription_gets_all_that_its_queue_takes(
    types: dict[str, EventType], webhook: Subscription, billing: Queue
) -> None:
    assert {each.code for each in vet.concerned(webhook, [])} == set(types)
    webhook.on_create = webhook.on_update = False
    assert {each.code for each in vet.concerned(webhook, [])} == {
        "account.cancelled",
        "bucket.cancelled",
        "package.cancelled",
    }
    billing.routes.all().delete()
    assert vet.concerned(webhook, []) == []


def test_a_sound_webhook_subscription_passes(types: dict[str, EventType], webhook: Subscription) -> None:
    vet.check_subscription(
        webhook,
        event_types=[types["invoice.posted"]],
        parameters=[
            Parameter(name="number", source="token", value="invoice.number"),
            Parameter(name="total", source="liquid", value="{{ invoice.total | money: invoice.currency }}"),
            Parameter(name="x-tenant", source="static", value="a", placement="header"),
        ],
        filters=[Filter(token="invoice.currency", operator="is", value="EUR")],
    )


def test_every_part_at_fault_is_named_at_its_field(
    types: dict[str, EventType], webhook: Subscription
) -> None:
    found = faults(
        webhook,
        event_types=[types["invoice.posted"]],
        parameters=[
            Parameter(name="who", source="token", value="contact.email"),
            Parameter(name="sum", source="liquid", value="{{ invoice.total | frob }}"),
            Parameter(name="Content-Type", source="static", value="a", placement="header"),
            Parameter(name="webhook-id", source="static", value="a", placement="header"),
        ],
        filters=[Filter(token="event.id", operator="is", value="1")],
        recipients=[Recipient(address="ops@example.com")],
    )
    assert found["recipients"] == [
        "Recipients are for email only. Remove them: a webhook goes to its endpoint."
    ]
    assert found["filters"] == ["“event.id” is no part of the payload. Name a token that is."]
    assert [text.split(":")[0] for text in found["parameters"]] == [
        "who",
        "sum",
        "Content-Type",
        "webhook-id",
    ]
    assert "contact tokens exist for email only" in found["parameters"][0]
    assert "unknown filter 'frob'" in found["parameters"][1]
    assert "is set by the callout itself" in found["parameters"][2]


def test_liquid_that_fails_on_a_sample_payload_is_refused(
    types: dict[str, EventType], webhook: Subscription
) -> None:
    parameter = Parameter(name="a", source="liquid", value="{{ invoice.number | plus: 1 }}")
    [message] = faults(webhook, event_types=[types["invoice.posted"]], parameters=[parameter])["parameters"]
    assert "It fails on the sample payload of invoice.posted: Line 1:" in message


def test_an_email_needs_recipients_and_takes_no_parameters(
    types: dict[str, EventType], email: Subscription
) -> None:
    parameter = Parameter(name="a", source="static", value="a")
    found = faults(email, event_types=[types["invoice.posted"]], parameters=[parameter])
    assert found["recipients"] == [
        "Add at least one recipient: a user, a group, an address, or a token that holds one."
    ]
    assert found["parameters"][0].startswith("Parameters are added to callouts only.")


def test_an_address_token_must_hold_an_address(types: dict[str, EventType], email: Subscription) -> None:
    chosen: dict[str, Any] = {"event_types": [types["invoice.posted"]]}
    vet.check_subscription(email, recipients=[Recipient(token="contact.email")], **chosen)
    found = faults(email, recipients=[Recipient(token="invoice.line_count")], **chosen)
    assert "holds no text" in found["recipients"][0]


def test_the_template_must_fit_the_subscriptions_event_types(
    types: dict[str, EventType], email: Subscription
) -> None:
    chosen = [types["invoice.posted"], types["payment.failed"]]
    found = faults(email, event_types=chosen, recipients=[Recipient(address="ops@example.com")])
    assert len(found["email_template"]) == 2
    assert (
        "The template “Posted” does not fit: “invoice.number” cannot be used here"
        in found["email_template"][0]
    )


@pytest.mark.parametrize("destinations", [[], ["endpoint", "email_template"]])
def test_a_subscription_has_exactly_one_destination(
    webhook: Subscription, email: Subscription, destinations: list[str]
) -> None:
    webhook.email_template = email.email_template if destinations else None
    webhook.endpoint = webhook.endpoint if destinations else None
    found = faults(webhook)
    assert list(found) == (["email_template"] if destinations else ["endpoint"])


def test_a_template_is_checked_part_by_part(types: dict[str, EventType]) -> None:
    with pytest.raises(ValidationError) as caught:
        vet_mail.check_template(
            EmailTemplate(
                subject="{{ invoice.numbr }}",
                text="{{ contact.email }} {{ invoice.total | money: invoice.currency }}",
                html="<p>{% if %}",
            ),
            event_types=[types["invoice.posted"]],
            variants=[],
        )
    found = caught.value.message_dict
    assert list(found) == ["subject", "html"]
    assert "Did you mean “invoice.number”?" in found["subject"][0]
    assert found["html"] == ["Line 1: missing expression"]


def test_a_change_of_a_template_must_fit_the_subscriptions_that_use_it(
    types: dict[str, EventType], email: Subscription, template: EmailTemplate
) -> None:
    email.save()
    email.event_types.add(types["invoice.posted"], types["invoice.overdue"])
    template.text = "{{ invoice.total }}"
    vet_mail.check_template(template, event_types=[types["invoice.posted"]], variants=[])
    template.event_types.set([types["invoice.overdue"]])
    template.text = "{{ invoice.days_overdue }}"
    with pytest.raises(ValidationError) as caught:
        vet_mail.check_template(template, event_types=[types["invoice.overdue"]], variants=[])
    [message] = caught.value.message_dict["text"]
    assert message.startswith(
        "The subscription “mails” uses this template. “invoice.days_overdue” cannot be used"
    )
