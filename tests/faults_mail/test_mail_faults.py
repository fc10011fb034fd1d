"""Fault 16: mail servers that drop, stall or refuse, through the whole engine."""

import threading
from collections.abc import Iterator

import pytest

from events.publish import publish
from notifications.engine import Engine
from notifications.models import Attempt, Delivery, Lane, Recipient
from notifications.sinks.smtp_sink import DROP, SmtpSink
from tests.factories import EmailSubscriptionFactory, QueueFactory, SmtpProfileFactory
from tests.servers import MAIL_SERVER, PASSWORD, USERNAME

pytestmark = pytest.mark.django_db(transaction=True)


class Forgetful(SmtpSink):
    """Takes the first mail, and the connection breaks before it can say so."""

    def keep(self, connection, session, envelope) -> None:
        super().keep(connection, session, envelope)
        if self.count == 1:
            [conversation] = [each for each in self._controller._live if each.number == connection]
            conversation.abort()


@pytest.fixture
def forgetful_sink(ca, ca_bundle, settings) -> Iterator[Forgetful]:
    with Forgetful(ca=ca, host=MAIL_SERVER, username=USERNAME, password=PASSWORD) as sink:
        settings.OUTBOUND_CA_BUNDLE = str(ca_bundle)
        settings.OUTBOUND_CONNECT_TO = [f"{MAIL_SERVER}:587=127.0.0.1:{sink.port}"]
        yield sink


def run() -> int:
    return Engine(until_idle=True).run()


def subscribe(*, is_ordered: bool, **subscription):
    return EmailSubscriptionFactory(queue=QueueFactory(is_ordered=is_ordered), **subscription)


def post_invoice(catalog, number: int = 1) -> None:
    data = catalog["invoice.posted"].sample | {"account": {"id": "1"}}
    data["invoice"] = data["invoice"] | {"number": f"INV-{number}"}
    publish("invoice.posted", data)


def verdicts(delivery: Delivery) -> list[str]:
    return list(delivery.attempts.order_by("number").values_list("verdict", flat=True))


def message_ids(sink: SmtpSink) -> list[str]:
    return [mail.parsed()["Message-ID"] for mail in sink.mails]


@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_reply_that_is_lost_after_data_is_unknown_and_the_mail_comes_again_as_the_same(
    catalog, forgetful_sink, is_ordered
):
    SmtpProfileFactory()
    subscribe(is_ordered=is_ordered, retry_seconds=[0])
    post_invoice(catalog)

    assert run() == 2

    delivery = Delivery.objects.get()
    assert delivery.status == "delivered"
    assert verdicts(delivery) == ["unknown", "delivered"]
    assert "Nobody can say whether" in delivery.attempts.get(number=1).detail
    assert message_ids(forgetful_sink) == [f"<{delivery.public_id}@example.com>"] * 2
    assert forgetful_sink.mails[0].content == forgetful_sink.mails[1].content


def test_what_follows_in_the_lane_waits_until_the_unknown_mail_was_taken(catalog, forgetful_sink):
    SmtpProfileFactory()
    subscribe(is_ordered=True, retry_seconds=[0])
    for number in (1, 2, 3):
        post_invoice(catalog, number)

    assert run() == 4

    first, *others = [delivery.public_id for delivery in Delivery.objects.order_by("sequence")]
    assert message_ids(forgetful_sink) == [f"<{each}@example.com>" for each in (first, first, *others)]


def test_a_connection_that_breaks_while_the_mail_is_taken_is_unknown(catalog, smtp_sink):
    SmtpProfileFactory()
    subscribe(is_ordered=True, retry_seconds=[0])
    answers = iter([DROP, ""])
    smtp_sink.script = lambda command, _: next(answers) if command == "DATA" else ""
    post_invoice(catalog)

    assert run() == 2

    delivery = Delivery.objects.get()
    assert (delivery.status, verdicts(delivery)) == ("delivered", ["unknown", "delivered"])
    assert message_ids(smtp_sink) == [f"<{delivery.public_id}@example.com>"]


def test_a_server_that_stalls_after_data_is_cut_off_and_unknown(catalog, smtp_sink):
    SmtpProfileFactory(timeout_seconds=1)
    subscribe(is_ordered=True, retry_seconds=[0])
    stalled, tried = threading.Event(), []

    def stall_once(command, _argument):
        if command == "DATA":
            tried.append(command)
            if len(tried) == 1:
                stalled.wait(30)
        return ""

    smtp_sink.script = stall_once
    post_invoice(catalog)
    try:
        assert run() == 2
    finally:
        stalled.set()

    delivery = Delivery.objects.get()
    assert (delivery.status, verdicts(delivery)) == ("delivered", ["unknown", "delivered"])
    assert delivery.attempts.get(number=1).error_class == "timeout"


@pytest.mark.parametrize(("is_ordered", "status", "cause"), [(True, "held", "refused"), (False, "dead", "")])
def test_one_refused_recipient_of_two_costs_the_other_nothing(catalog, smtp_sink, is_ordered, status, cause):
    SmtpProfileFactory()
    subscription = subscribe(is_ordered=is_ordered, address="good@example.com")
    Recipient.objects.create(subscription=subscription, address="gone@example.com")
    smtp_sink.script = lambda command, argument: (
        "550 5.7.1 not from you" if command == "RCPT" and "gone@" in argument else ""
    )
    post_invoice(catalog, 1)
    post_invoice(catalog, 2)

    run()

    good = Delivery.objects.filter(recipient="good@example.com")
    gone = Delivery.objects.filter(recipient="gone@example.com").order_by("id")
    assert {(each.status, tuple(verdicts(each))) for each in good} == {("delivered", ("delivered",))}
    assert [mail.recipients for mail in smtp_sink.mails] == [("good@example.com",)] * 2
    first, second = gone
    assert (first.status, first.hold_cause, verdicts(first)) == (status, cause, ["rejected"])
    assert first.attempts.get().status_code == 550
    if is_ordered:
        assert (second.status, verdicts(second)) == ("pending", [])
        assert Lane.objects.get(recipient="gone@example.com").blocked_by == first
    else:
        assert (second.status, verdicts(second)) == ("dead", ["rejected"])


def test_an_address_that_does_not_exist_holds_up_no_lane(catalog, smtp_sink):
    SmtpProfileFactory()
    subscribe(is_ordered=True, address="gone@example.com")
    smtp_sink.script = lambda command, _: "550 5.1.1 no such mailbox" if command == "RCPT" else ""
    post_invoice(catalog, 1)
    post_invoice(catalog, 2)

    run()

    first, second = Delivery.objects.order_by("id")
    assert (first.status, verdicts(first)) == ("dead", ["rejected"])
    assert first.last_error == "The message was refused for good: 550 5.1.1 no such mailbox"
    assert (second.status, verdicts(second)) == ("cancelled", [])
    assert second.last_error.startswith("The address is suppressed: It bounced")
    assert Lane.objects.get().blocked_by is None
    assert not smtp_sink.mails


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_temporary_refusal_is_tried_again(catalog, smtp_sink, command):
    SmtpProfileFactory()
    subscribe(is_ordered=True, retry_seconds=[0])
    answers = iter(["450 4.2.1 try later", ""])
    smtp_sink.script = lambda said, _: next(answers) if said == command else ""
    post_invoice(catalog)

    assert run() == 2

    delivery = Delivery.objects.get()
    assert (delivery.status, verdicts(delivery)) == ("delivered", ["retry", "delivered"])
    assert delivery.attempts.get(number=1).status_code == 450
    assert smtp_sink.count == 1


def test_a_message_refused_for_good_is_not_sent_again(catalog, smtp_sink):
    SmtpProfileFactory()
    subscribe(is_ordered=False, retry_seconds=[0, 0])
    smtp_sink.script = lambda command, _: "554 5.7.1 not wanted" if command == "DATA" else ""
    post_invoice(catalog)

    assert run() == 1

    delivery = Delivery.objects.get()
    assert (delivery.status, verdicts(delivery), smtp_sink.count) == ("dead", ["rejected"], 0)


def test_a_wrong_password_pauses_the_profile_burns_no_attempt_and_a_right_one_resumes(catalog, smtp_sink):
    profile = SmtpProfileFactory(password="wrong")
    subscribe(is_ordered=True, retry_seconds=[0])
    subscribe(is_ordered=False, retry_seconds=[0])
    for number in range(3):
        post_invoice(catalog, number)

    run()

    profile.refresh_from_db()
    assert "535" in profile.paused_reason
    assert smtp_sink.count == 0
    assert set(Delivery.objects.values_list("attempt_count", flat=True)) == {0}
    assert set(Attempt.objects.values_list("verdict", flat=True)) == {"blocked"}
    assert Delivery.objects.filter(status__in=Delivery.WAITING, due_at__isnull=False).count() == 6
    assert run() == 0, "paused, it is left alone"

    profile.password, profile.paused_reason = PASSWORD, ""
    profile.save()
    run()

    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    assert smtp_sink.count == 6
