"""A server that drops connections at random: nothing is lost, and what is in order stays so."""

import random
import threading

import pytest

from events.publish import Draft, publish_many
from notifications.engine import Engine
from notifications.models import Delivery
from notifications.sinks.smtp_sink import DROP
from tests.factories import EmailSubscriptionFactory, QueueFactory, SmtpProfileFactory

pytestmark = pytest.mark.django_db(transaction=True)

SHARE = 0.02  # of the commands of a conversation


@pytest.mark.parametrize(
    "count", [pytest.param(300, id="300"), pytest.param(10_000, id="10000", marks=pytest.mark.chaos)]
)
@pytest.mark.parametrize("in_one_piece", [False, True])
@pytest.mark.timeout(1800)
def test_mails_through_one_profile_arrive_in_order_while_connections_are_dropped(
    catalog, smtp_sink, count, in_one_piece
):
    smtp_sink.pipelines = smtp_sink.chunks = in_one_piece
    SmtpProfileFactory(timeout_seconds=5)
    EmailSubscriptionFactory(
        queue=QueueFactory(is_ordered=True),
        retry_seconds=[0] * 30,
        email_template__text="{{ invoice.number }}",
    )
    dice, lock, drops = random.Random(5), threading.Lock(), []

    def script(command, _argument):
        with lock:
            if dice.random() < SHARE:
                drops.append(command)
                return DROP
        return ""

    smtp_sink.script = script
    sample = catalog["invoice.posted"].sample
    accounts = max(4, count // 100)
    for start in range(0, count, 500):
        publish_many(
            [
                Draft(
                    type="invoice.posted",
                    data=sample
                    | {
                        "account": {"id": str(n % accounts)},
                        "invoice": sample["invoice"] | {"number": str(n)},
                    },
                )
                for n in range(start, min(start + 500, count))
            ]
        )

    Engine(until_idle=True).run()
    while Delivery.objects.filter(status__in=Delivery.WAITING).exists():
        Engine(until_idle=True, budget=60).run()

    assert Delivery.objects.filter(status="delivered").count() == count
    arrived = [int(mail.parsed().get_body(("plain",)).get_content()) for mail in smtp_sink.mails]
    assert sorted(set(arrived)) == list(range(count))
    assert {"MAIL", "RCPT", "DATA"} <= set(drops), "every step was hit"
    seen: dict[int, int] = {}
    for number in arrived:  # no later one of an account before an earlier one; a repetition is its own
        assert number >= seen.get(number % accounts, -1)
        seen[number % accounts] = number
    # A drop in answer to the text is before this server keeps it, so none of them may repeat.
    assert len(arrived) == count
