"""Storm control: the first few of a period go out one by one, the others in one digest, and nothing is lost."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from standardwebhooks import Webhook

from events.models import Event, InboxEntry, QuarantinedEvent
from events.publish import publish
from notifications import finish_digests, operate, vet
from notifications.collect import KEY
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Collected, Delivery, Digest, Lane, Parameter, Recipient, Suppression
from notifications.suppress import suppress
from notifications.tasks import go_on
from tests.factories import (
    EmailSubscriptionFactory,
    QueueFactory,
    SmtpProfileFactory,
    WebhookSubscriptionFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = AnonymousUser()


def run() -> int:
    return Engine(until_idle=True).run()


def post(catalog, account="1001", count=1):
    data = catalog["invoice.posted"].sample | {"account": {"id": account}}
    return [publish("invoice.posted", data).event for _ in range(count)]


def end_periods():
    """As if the time were over, by the database's clock."""
    Digest.objects.filter(delivery=None).update(due_at=Now() - timedelta(seconds=1))
    InboxEntry.objects.filter(due_at__isnull=False).update(due_at=Now() - timedelta(seconds=1))


def counts():
    return dict(Delivery.objects.order_by().values_list("status").annotate(Count("pk")))


@pytest.fixture
def storm(catalog):
    return WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False), storm_limit=3, storm_minutes=30)


@pytest.fixture
def ordered(catalog):
    return WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=True), storm_limit=2, storm_minutes=30)


def test_what_goes_beyond_the_limit_is_one_signed_callout_when_the_period_ends(
    storm, catalog, https_receiver
):
    events = post(catalog, "1", 4) + post(catalog, "2", 3)
    assert run() == 3
    assert counts() == {"delivered": 3, "held": 4}
    assert run() == 0, "the period is not over"

    end_periods()
    assert run() == 1

    *singles, digest = https_receiver.received
    assert len(singles) == 3
    body = Webhook(storm.endpoint.secret).verify(digest.body, digest.headers)
    carrier = Digest.objects.get(delivery__isnull=False).delivery
    data = body["data"]
    assert (body["type"], digest.headers["webhook-id"]) == ("digest", carrier.public_id)
    assert (data["count"], data["sent_singly"], data["omitted"], data["lanes"]) == (4, 3, 0, [])
    assert data["by_type"] == [{"type": "invoice.posted", "count": 4}]
    assert data["by_account"] == [{"account": "2", "count": 3}, {"account": "1", "count": 1}]
    assert [each["id"] for each in data["events"]] == [each.public_id for each in events[3:]]
    assert counts() == {"delivered": 4, "digested": 4}
    assert not InboxEntry.objects.exists()
    assert not QuarantinedEvent.objects.exists()


def test_a_period_begins_anew_after_its_end(storm, catalog, https_receiver):
    post(catalog, count=2)
    assert run() == 2
    end_periods()
    post(catalog, count=4)
    assert run() == 3, "nothing was collected in the first one: it is counted anew"
    end_periods()
    post(catalog, count=2)
    assert run() == 3, "the digest of one, and two of the next period"
    assert Digest.objects.get(delivery=None).passed == 2
    assert counts() == {"delivered": 8, "digested": 1}
    assert Digest.objects.filter(finished_at__isnull=False).get().size == 1


def test_in_order_the_digest_comes_after_what_was_before_it_and_before_what_is_after(
    ordered, catalog, https_receiver
):
    post(catalog, "1", 1)
    post(catalog, "2", 1)
    post(catalog, "1", 3)
    post(catalog, "2", 2)
    assert run() == 2
    end_periods()
    # Of the next period: it waits for the digest, which the receiver refuses at first.
    fan_out()
    post(catalog, "1", 1)
    ordered.retry_seconds = [0, 0]
    ordered.save()
    https_receiver.script = lambda r: (503 if r.number <= 4 else 204, {}, b"")
    assert run() == 4

    bodies = [json.loads(each.body) for each in https_receiver.received]
    assert [each["type"] for each in bodies] == ["invoice.posted"] * 2 + ["digest"] * 3 + ["invoice.posted"]
    digest, last = bodies[-2], bodies[-1]
    assert digest["data"]["lanes"] == [
        {"ordering_key": "account:1", "count": 3, "first_sequence": 2, "last_sequence": 4},
        {"ordering_key": "account:2", "count": 2, "first_sequence": 2, "last_sequence": 3},
    ]
    assert (last["ordering_key"], last["sequence"]) == ("account:1", 5)
    headers = https_receiver.received[-1].headers
    assert headers["bellwether-skipped"] == "2-4", "in the digest, and not to come by themselves"
    [first] = [
        each for each in https_receiver.received if each.headers["bellwether-lane"].endswith("account:1")
    ][:1]
    assert headers["bellwether-previous"] == first.headers["webhook-id"]
    assert counts() == {"delivered": 4, "digested": 5}
    assert set(Lane.objects.values_list("due_at", "blocked_by")) == {(None, None)}


def test_a_lane_that_waits_for_a_person_keeps_only_its_own_out_of_the_digest(
    ordered, catalog, https_receiver
):
    ordered.retry_seconds = []
    ordered.storm_limit = 1
    ordered.save()
    [head] = post(catalog, "1")
    fan_out()
    Delivery.objects.update(status="held", hold_cause="exhausted", due_at=None)
    post(catalog, "1", 2)
    post(catalog, "2", 2)
    fan_out()
    end_periods()
    assert run() == 1
    first = json.loads(https_receiver.received[-1].body)
    assert [each["account"] for each in first["data"]["events"]] == ["2", "2"]
    assert counts() == {"held": 3, "delivered": 1, "digested": 2}

    operate.skip([Delivery.objects.get(event=head).pk], NOBODY)
    end_periods()
    assert run() == 1
    second = json.loads(https_receiver.received[-1].body)
    assert [each["sequence"] for each in second["data"]["events"]] == [2, 3]
    assert counts() == {"skipped": 1, "delivered": 2, "digested": 4}


def test_a_second_digest_waits_for_the_first_and_a_person_may_let_it_go_on(ordered, catalog, https_receiver):
    ordered.storm_limit = 1
    ordered.retry_seconds = [0]
    ordered.save()
    post(catalog, "1", 3)
    assert run() == 1
    https_receiver.script = lambda r: (500, {}, b"")
    end_periods()
    run()
    carrier = Digest.objects.get(delivery__isnull=False).delivery
    assert (carrier.status, carrier.hold_cause) == ("held", "exhausted")
    https_receiver.script = lambda r: (204, {}, b"")
    post(catalog, "2", 3)
    run()
    end_periods()
    sent = len(https_receiver.received)
    run()
    assert len(https_receiver.received) == sent, "the second digest waits"
    assert Digest.objects.filter(delivery=None, event__isnull=False).count() == 1

    operate.retry([carrier.pk], NOBODY)
    run()
    end_periods()
    run()
    types = [json.loads(each.body)["data"].get("count") for each in https_receiver.received[sent:]]
    assert types == [2, 2]
    assert counts() == {"delivered": 4, "digested": 4}


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_one_that_is_collected_can_be_sent_alone_or_cancelled_until_its_digest_goes(
    verb, storm, catalog, https_receiver
):
    post(catalog, count=5)
    assert run() == 3
    one, other = Delivery.objects.filter(status="held").order_by("pk")

    assert getattr(operate, verb)([one.pk], NOBODY).done == 1
    assert run() == (1 if verb == "retry" else 0)
    end_periods()
    fan_out()
    report = getattr(operate, verb)([other.pk], NOBODY)
    carrier = Digest.objects.get(delivery__isnull=False).delivery
    assert report.refused == {f"it goes out in the digest {carrier.public_id}: operate that one": 1}

    assert run() == 1
    assert [each["id"] for each in json.loads(https_receiver.received[-1].body)["data"]["events"]] == [
        other.event.public_id
    ]
    one.refresh_from_db()
    assert one.status == ("delivered" if verb == "retry" else "cancelled")
    assert operate.retry([other.pk], NOBODY).done == 1, "a digested one is sent alone"
    assert run() == 1
    other.refresh_from_db()
    assert other.status == "delivered"


def test_without_anything_left_there_is_no_digest(storm, catalog, https_receiver):
    post(catalog, count=5)
    assert run() == 3
    operate.cancel(list(Delivery.objects.filter(status="held").values_list("pk", flat=True)), NOBODY)
    end_periods()
    assert run() == 0
    assert counts() == {"delivered": 3, "cancelled": 2}
    post(catalog, count=1)
    assert run() == 1, "a new period"


def test_a_limit_that_is_taken_away_lets_the_digest_go_when_it_is_due(storm, catalog, https_receiver):
    post(catalog, count=5)
    assert run() == 3
    storm.storm_limit = None
    storm.save()
    post(catalog, count=2)
    assert run() == 2
    end_periods()
    assert run() == 1
    assert counts() == {"delivered": 6, "digested": 2}


def test_what_a_digest_carries_says_so_whatever_becomes_of_it(storm, catalog, https_receiver):
    storm.retry_seconds = [0]
    storm.save()
    post(catalog, count=4)
    assert run() == 3
    https_receiver.script = lambda r: (500, {}, b"")
    end_periods()
    assert run() == 2
    assert counts() == {"delivered": 3, "dead": 1, "digested": 1}
    https_receiver.script = lambda r: (204, {}, b"")
    assert operate.retry([Digest.objects.get().delivery_id], NOBODY).done == 1
    assert run() == 1
    assert counts() == {"delivered": 4, "digested": 1}


def test_a_receiver_that_dictates_its_json_gets_digests_in_its_own_words_or_in_ours(
    storm, catalog, https_receiver
):
    Parameter.objects.create(subscription=storm, name="tenant", value="7", source="static", placement="query")
    Parameter.objects.create(subscription=storm, name="number", value="invoice.number", placement="query")
    own = (
        '{"text": "{% if digest.count %}{{ digest.subject }} ({{ digest.count }})'
        '{% else %}{{ invoice.number }}{% endif %}"'
        ', "raw": {{ data }}}'
    )
    received = []
    for template in (own, '{"text": "{{ invoice.number }}"}'):
        storm.payload_template = template
        storm.save()
        post(catalog, count=5)
        assert run() == 3
        end_periods()
        assert run() == 1
        received.append(https_receiver.received[-1])
    said, standard = (json.loads(each.body) for each in received)
    assert (said["text"], said["raw"]["count"]) == ("2 more: Invoice Posted (2)", 2)
    assert (standard["type"], standard["data"]["count"]) == ("digest", 2)
    assert {each.path for each in received} == {"/hook?tenant=7"}, "a digest has no invoice.number"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (
            '{"text": "{{ digest.total }}"}',
            "names “digest.total”. Of a digest there are: digest.id, digest.subject",
        ),
        (
            '{"text": "x" {% if digest.count %}, {{ digest.subject }}{% endif %}}',
            "With a sample digest: it makes no JSON",
        ),
    ],
)
def test_a_payload_template_is_tried_with_a_digest_where_it_names_one(template, fault, storm):
    storm.payload_template = template
    with pytest.raises(ValidationError, match=re.escape(fault)):
        vet.check_subscription(storm, event_types=storm.queue.event_types.all())


def test_a_digest_that_lost_its_place_in_the_inbox_gets_another(storm, catalog, https_receiver):
    post(catalog, count=5)
    assert run() == 3
    InboxEntry.objects.all().delete()
    Digest.objects.update(due_at=Now() - timedelta(seconds=1))
    assert run() == 0
    assert go_on() == 0
    assert run() == 1
    assert counts() == {"delivered": 4, "digested": 2}


def test_a_pause_holds_the_digest_as_it_holds_any_delivery(ordered, catalog, https_receiver):
    post(catalog, count=4)
    assert run() == 2
    ordered.is_paused = True
    ordered.save()
    end_periods()
    assert run() == 0
    carrier = Digest.objects.get(delivery__isnull=False).delivery
    assert (carrier.status, carrier.hold_cause) == ("held", "paused")
    ordered.is_paused = False
    ordered.save()
    assert go_on() == 1
    assert run() == 1
    assert counts() == {"delivered": 3, "digested": 2}


def test_an_address_that_is_suppressed_meanwhile_gets_no_digest(catalog, smtp_sink):
    SmtpProfileFactory()
    subscription = EmailSubscriptionFactory(queue=QueueFactory(is_ordered=True), storm_limit=1)
    Recipient.objects.create(subscription=subscription, address="noc@example.com")
    post(catalog, count=3)
    assert run() == 2
    suppress("ops@example.com", reason=Suppression.Reason.MANUAL)
    post(catalog, count=1)
    fan_out()
    end_periods()
    assert run() == 1
    assert [mail.parsed()["To"] for mail in smtp_sink.mails][2:] == ["noc@example.com"]
    assert smtp_sink.mails[-1].parsed()["Subject"] == "3 more: Invoice Posted"
    assert counts() == {"delivered": 3, "cancelled": 2, "suppressed": 1, "digested": 3}


def test_an_event_with_the_key_of_the_lanes_of_digests_is_sent_by_itself(ordered, catalog, https_receiver):
    post(catalog, count=3)
    for _ in range(3):
        publish("invoice.posted", catalog["invoice.posted"].sample, ordering_key=KEY)
    assert run() == 5
    end_periods()
    assert run() == 1
    assert counts() == {"delivered": 6, "digested": 1}


def test_without_storm_control_nothing_looks_at_digests_but_the_worker_that_ends_one(catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    post(catalog, count=50)
    with CaptureQueriesContext(connection) as captured:
        assert run() == 50
    assert [each["sql"] for each in captured if "_digest" in each["sql"] or "_collected" in each["sql"]] == []
    assert not Digest.objects.exists()
    assert not Collected.objects.exists()
    with CaptureQueriesContext(connection) as captured:
        assert finish_digests.finish() == 0
    assert len(captured) == 1
    assert not Event.objects.filter(type__code="digest").exists()
