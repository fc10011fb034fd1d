"""The receiver's ledger itself."""

import pytest

from events.publish import publish
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Channel, Delivery, Lane
from tests.factories import WebhookSubscriptionFactory
from tests.faults.ledger import Rule
from tests.faults.oracle import check
from tests.servers import RECEIVER

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_ledger_says_what_arrived_where_and_what_was_answered(catalog, ledger):
    WebhookSubscriptionFactory(retry_seconds=[0] * 5)
    ledger.behave(Rule(status=503, times=1, keeps_body=True), RECEIVER)
    events = [
        publish("invoice.posted", {"account": {"id": "7"}, "invoice": {"id": str(n)}}).event for n in range(3)
    ]

    Engine(until_idle=True).run()

    lines = ledger.lines()
    first, *_ = deliveries = list(Delivery.objects.order_by("id"))
    assert [line.answer for line in lines] == ["503", "204", "204", "204"]
    assert [line.webhook_id for line in lines] == [first.public_id, *[each.public_id for each in deliveries]]
    assert [line.event_id for line in lines[1:]] == [event.public_id for event in events]
    assert [line.sequence for line in lines] == [1, 1, 2, 3]
    assert {(line.host, line.path) for line in lines} == {(RECEIVER, "/hook")}
    assert lines[0].body == lines[1].body
    assert '"invoice":{"id":"0"}' in lines[0].body
    assert lines[2].previous == first.public_id
    findings = check(lines, published=[event.public_id for event in events])
    assert findings.is_clean, str(findings)
    assert (findings.arrivals, findings.duplicates) == (4, 0)


def test_a_delayed_answer_is_in_the_ledger_before_it_is_given(catalog, ledger):
    WebhookSubscriptionFactory()
    ledger.behave(Rule(delay=0.3))
    publish("invoice.posted", {"account": {"id": "7"}, "invoice": {"id": "1"}})

    Engine(until_idle=True).run()

    [line] = ledger.lines()
    assert line.answer == "204"
    assert line.answered > line.arrived
    assert len(ledger.path.read_text().splitlines()) == 2


@pytest.mark.parametrize("rows", [Channel, Lane])
def test_the_oracle_sees_in_the_database_what_nobody_will_look_at(catalog, ledger, rows):
    WebhookSubscriptionFactory()
    event = publish("invoice.posted", {"account": {"id": "7"}, "invoice": {"id": "1"}}).event
    assert check([], published=[event.public_id]).is_clean, "it is in the inbox"
    fan_out()
    assert check([], published=[event.public_id]).is_clean, "it is due"

    rows.objects.update(due_at=None)

    findings = check([], published=[event.public_id])
    assert len(findings.faults) == len(findings.stuck) == 1
