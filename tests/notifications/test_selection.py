"""Which account a mail leaves by, proven at the mail servers that get it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from events.publish import publish
from notifications import divert
from notifications.engine import Engine
from notifications.models import Delivery, Lane, ProfileRule, RenderedBody
from notifications.sinks.smtp_sink import SmtpSink
from tests.factories import EmailSubscriptionFactory, QueueFactory, SmtpProfileFactory
from tests.servers import PASSWORD, USERNAME

pytestmark = pytest.mark.django_db(transaction=True)

SERVERS = ("billing", "ops")


@pytest.fixture
def servers(ca, ca_bundle, settings) -> Iterator[dict[str, SmtpSink]]:
    """Two mail servers, billing.example.test and ops.example.test."""
    settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(
                SmtpSink(ca=ca, host=f"{name}.example.test", username=USERNAME, password=PASSWORD)
            )
            for name in SERVERS
        }
        settings.OUTBOUND_CONNECT_TO = [f"{sink.host}:587=127.0.0.1:{sink.port}" for sink in found.values()]
        yield found


@pytest.fixture
def profiles():
    return {
        name: SmtpProfileFactory(
            host=f"{name}.example.test", from_address=f"{name}@example.com", is_default=name == "billing"
        )
        for name in SERVERS
    }


def run() -> int:
    return Engine(until_idle=True).run()


def post(catalog, *codes: str, account: str = "1") -> None:
    for code in codes:
        publish(code, catalog[code].sample | {"account": {"id": account}})


def subjects(sink: SmtpSink) -> list[str]:
    return [mail.parsed()["Subject"] for mail in sink.mails]


def senders(sink: SmtpSink) -> set[str]:
    return {mail.sender for mail in sink.mails}


PAYMENT, SIM, INVOICE = "payment.processed", "sim.dormant", "invoice.posted"


@pytest.mark.parametrize("rule", [{"event_type": SIM}, {"resource": "sim"}, {"category": "usage"}])
@pytest.mark.parametrize("is_ordered", [True, False])
def test_each_kind_of_event_leaves_by_its_own_account(catalog, servers, profiles, rule, is_ordered):
    ProfileRule.objects.create(
        profile=profiles["ops"],
        **{name: catalog[value] if name == "event_type" else value for name, value in rule.items()},
    )
    EmailSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered))
    # Of one account, and so in one lane: order is kept from one server to the other.
    post(catalog, PAYMENT, SIM, INVOICE, SIM)

    assert run() == 4

    assert subjects(servers["billing"]) == [catalog[PAYMENT].label, catalog[INVOICE].label] or not is_ordered
    assert sorted(subjects(servers["billing"])) == sorted([catalog[PAYMENT].label, catalog[INVOICE].label])
    assert subjects(servers["ops"]) == [catalog[SIM].label] * 2
    assert (senders(servers["billing"]), senders(servers["ops"])) == (
        {"billing@example.com"},
        {"ops@example.com"},
    )
    settled = Delivery.objects.order_by("settled_at", "sequence").values_list("sequence", flat=True)
    assert list(settled) == [1, 2, 3, 4] or not is_ordered


def test_a_rule_of_the_type_comes_before_that_of_its_resource_and_its_category_and_the_subscription_before_all(
    catalog, servers, profiles
):
    ProfileRule.objects.create(profile=profiles["billing"], event_type=catalog[SIM])
    ProfileRule.objects.create(profile=profiles["ops"], resource="sim")
    ProfileRule.objects.create(profile=profiles["ops"], category="usage")
    EmailSubscriptionFactory(address="rule@example.com")
    EmailSubscriptionFactory(address="own@example.com", profile=profiles["ops"])
    post(catalog, SIM)

    assert run() == 2

    assert [mail.recipients for mail in servers["billing"].mails] == [("rule@example.com",)]
    assert [mail.recipients for mail in servers["ops"].mails] == [("own@example.com",)]


def test_switching_a_rule_changes_the_next_mail_and_not_one_that_is_rendered(catalog, servers, profiles):
    rule = ProfileRule.objects.create(profile=profiles["billing"], event_type=catalog[SIM])
    EmailSubscriptionFactory(queue=QueueFactory(is_ordered=False), retry_seconds=[0])
    post(catalog, SIM)
    profiles["billing"].is_active = False
    profiles["billing"].save()
    run()  # fanned out, and waiting
    first = Delivery.objects.get()
    RenderedBody.objects.create(
        delivery=first,
        delivery_created_at=first.created_at,
        body="From: billing@example.com\r\nTo: ops@example.com\r\nSubject: rendered\r\n\r\nText\r\n",
    )
    post(catalog, SIM)
    run()  # another one waits, and is not rendered

    rule.profile = profiles["ops"]
    rule.save()
    assert divert.divert() == 1
    run()
    assert len(servers["ops"].mails) == 1
    profiles["billing"].is_active = True
    profiles["billing"].save()
    run()

    assert subjects(servers["billing"]) == ["rendered"]
    assert subjects(servers["ops"]) == [catalog[SIM].label]
    assert servers["ops"].mails[0].parsed()["From"].addresses[0].addr_spec == "ops@example.com"


@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_fallback_sends_what_a_paused_profile_cannot(catalog, servers, profiles, is_ordered):
    billing = profiles["billing"]
    billing.fallback, billing.password = profiles["ops"], "wrong"
    billing.save()
    EmailSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered))
    for account in "123":
        post(catalog, PAYMENT, INVOICE, account=account)

    run()

    billing.refresh_from_db()
    assert "535" in billing.paused_reason
    assert servers["billing"].count == 0
    assert servers["ops"].count == 6
    assert senders(servers["ops"]) == {"ops@example.com"}
    assert {mail.parsed()["From"].addresses[0].addr_spec for mail in servers["ops"].mails} == {
        "ops@example.com"
    }
    assert set(Delivery.objects.values_list("status", "attempt_count")) == {("delivered", 1)}
    post(catalog, SIM)  # new ones go there at once
    assert run() == 1
    assert servers["ops"].count == 7


def test_a_mail_that_may_have_been_taken_waits_for_its_own_profile_and_its_lane_with_it(
    catalog, servers, profiles
):
    billing = profiles["billing"]
    billing.fallback = profiles["ops"]
    billing.save()
    EmailSubscriptionFactory(retry_seconds=[3600])
    servers["billing"].script = lambda command, _: "451 4.3.0 later" if command == "RCPT" else ""
    post(catalog, PAYMENT, INVOICE)
    assert run() == 1
    billing.is_active = False
    billing.save()

    divert.divert()
    run()

    assert servers["ops"].count == 0
    billing.is_active = True
    billing.save()
    divert.divert()
    servers["billing"].script = lambda command, _: ""
    Delivery.objects.filter(status="retrying").update(due_at="2020-01-01T00:00Z")
    Lane.objects.update(due_at="2020-01-01T00:00Z")
    billing.channels.update(due_at="2020-01-01T00:00Z")
    run()
    assert subjects(servers["billing"]) == [catalog[PAYMENT].label, catalog[INVOICE].label]


@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_mail_that_may_have_arrived_is_held_where_the_profile_says_so(
    catalog, servers, profiles, is_ordered
):
    profiles["billing"].on_unknown = "hold"
    profiles["billing"].save()
    EmailSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered), retry_seconds=[0])
    servers["billing"].script = lambda command, _: "DROP" if command == "DATA" else ""
    post(catalog, PAYMENT)

    assert run() == 1

    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.hold_cause, delivery.attempt_count) == ("held", "unknown", 1)
    assert delivery.attempts.get().verdict == "unknown"


@pytest.mark.parametrize(
    ("takes_utf8", "verdict", "recipients"),
    [(True, "delivered", [("ädä@xn--bcher-kva.example",)]), (False, "rejected", [])],
)
def test_an_address_outside_ascii_arrives_where_the_server_takes_it_and_is_refused_clearly_elsewhere(
    catalog, ca, servers, profiles, takes_utf8, verdict, recipients
):
    servers["billing"].stop()
    servers["billing"].takes_utf8 = takes_utf8
    servers["billing"].start()
    subscription = EmailSubscriptionFactory()
    subscription.recipients.update(address="", token="contact.email")
    sample = catalog[INVOICE].sample
    publish(INVOICE, sample | {"contact": {"email": "ädä@bücher.example"}})

    assert run() == 1

    attempt = Delivery.objects.get().attempts.get()
    assert (attempt.verdict, [mail.recipients for mail in servers["billing"].mails]) == (verdict, recipients)
    assert ("does not offer SMTPUTF8" in attempt.detail) is (verdict == "rejected")


@pytest.mark.parametrize("evil", ["1\r\nBcc: eve@example.com", "1\nSubject: other", "1\r\n\r\n.\r\nQUIT"])
def test_a_token_s_value_starts_no_header_and_ends_no_message(catalog, servers, profiles, evil):
    EmailSubscriptionFactory(
        email_template__subject="Invoice {{ invoice.number }}",
        email_template__text="No. {{ invoice.number }}.",
    )
    sample = catalog[INVOICE].sample
    publish(INVOICE, sample | {"invoice": sample["invoice"] | {"number": evil}})

    assert run() == 1

    [mail] = servers["billing"].mails
    parsed = mail.parsed()
    assert (mail.recipients, parsed["Bcc"]) == (("ops@example.com",), None)
    assert parsed["Subject"] == f"Invoice {' '.join(evil.split())}"
    assert parsed.get_body(("plain",)).get_content().split() == f"No. {evil}.".split()
