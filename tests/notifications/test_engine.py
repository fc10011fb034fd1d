"""The engine against a real database and real receivers: what is due goes out, and the log says how."""

import json
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import ProgrammingError, connection, transaction
from django.db.models import F
from django.utils import timezone
from standardwebhooks import Webhook

from events.models import Event, InboxEntry, QuarantinedEvent
from events.publish import publish
from notifications import claim, fetch, operate
from notifications.engine import LOOK_EVERY, Engine
from notifications.fan_out import fan_out
from notifications.models import (
    Attempt,
    Channel,
    Delivery,
    Filter,
    Lane,
    Parameter,
    Recipient,
    Subscription,
)
from tests.factories import (
    EmailSubscriptionFactory,
    EmailTemplateFactory,
    QueueFactory,
    SmtpProfileFactory,
    UserFactory,
    WebhookSubscriptionFactory,
)
from tests.processes import manage

pytestmark = pytest.mark.django_db(transaction=True)


def run() -> int:
    return Engine(until_idle=True).run()


def post_invoice(catalog, account="1001", **kwargs):
    data = catalog["invoice.posted"].sample | {"account": {"id": account}}
    return publish("invoice.posted", data, **kwargs).event


def test_an_event_reaches_its_endpoint_signed_and_byte_for_byte(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory()
    Parameter.objects.create(subscription=subscription, name="number", value="invoice.number")
    Parameter.objects.create(
        subscription=subscription, name="X-Total", value="{{ invoice.total }} {{ invoice.currency }}",
        source="liquid", placement="header",
    )  # fmt: skip
    Parameter.objects.create(
        subscription=subscription, name="tenant", value="a b", source="static", placement="query"
    )
    data = (
        '{"account":{"id":"7"},"invoice":{"id":"9","number":"INV-9","total":19.90,"currency":"EUR","ë":"€"}}'
    )
    event = publish("invoice.posted", data).event

    assert run() == 1

    [request] = https_receiver.received
    secret = subscription.endpoint.secret
    body = Webhook(secret).verify(request.body, request.headers)
    delivery = Delivery.objects.get()
    assert request.path == "/hook?tenant=a+b"
    assert request.headers["webhook-id"] == delivery.public_id
    assert request.headers["x-total"] == "19.90 EUR"
    assert f'"data": {data}, "parameters": {{"number": "INV-9"}}'.encode() in request.body
    assert body["id"] == event.public_id
    assert (body["type"], body["ordering_key"], body["sequence"]) == ("invoice.posted", "account:7", 1)
    assert request.headers["bellwether-sequence"] == "1"
    assert "bellwether-previous" not in request.headers
    assert (delivery.status, delivery.attempt_count) == ("delivered", 1)
    attempt = delivery.attempts.get()
    assert (attempt.verdict, attempt.status_code, attempt.number) == ("delivered", 204, 1)
    assert secret not in attempt.request_headers
    assert delivery.rendered.body.encode() == request.body
    assert not InboxEntry.objects.exists()


def test_a_lane_is_numbered_without_gaps_and_names_what_came_before(catalog, https_receiver):
    WebhookSubscriptionFactory()
    for _ in range(20):
        post_invoice(catalog, "1")
        post_invoice(catalog, "2")

    assert run() == 40

    for account in ("1", "2"):
        requests = [
            r for r in https_receiver.received if json.loads(r.body)["ordering_key"] == f"account:{account}"
        ]
        assert [int(r.headers["bellwether-sequence"]) for r in requests] == list(range(1, 21))
        assert [r.headers.get("bellwether-previous") for r in requests] == [
            None, *[r.headers["webhook-id"] for r in requests[:-1]]
        ]  # fmt: skip
    assert set(Lane.objects.values_list("tail", "next_sequence", "due_at")) == {(20, 21, None)}


def test_an_out_of_order_queue_sends_without_lane_or_number(catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    for _ in range(30):
        post_invoice(catalog)

    assert run() == 30

    assert {json.loads(r.body)["sequence"] for r in https_receiver.received} == {None}
    assert not Lane.objects.exists()
    assert {r.headers["webhook-id"] for r in https_receiver.received} == {
        delivery.public_id for delivery in Delivery.objects.filter(status="delivered")
    }


def test_a_failure_is_retried_with_the_same_bytes_and_nothing_overtakes_it(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(retry_seconds=[0, 0])
    https_receiver.script = lambda r: (500, {}, b"not now") if r.number <= 2 else (204, {}, b"")
    for _ in range(3):
        post_invoice(catalog)

    assert run() == 5

    bodies = [r.body for r in https_receiver.received]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [json.loads(body)["sequence"] for body in bodies] == [1, 1, 1, 2, 3]
    first = subscription.deliveries.get(sequence=1)
    assert [a.verdict for a in first.attempts.order_by("number")] == ["retry", "retry", "delivered"]
    assert first.attempts.filter(number=1).get().response_body == "not now"


def test_a_spent_schedule_holds_the_lane_and_not_the_next_lane(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(retry_seconds=[0])
    https_receiver.script = lambda r: (500, {}, b"") if b'"account:1"' in r.body else (204, {}, b"")
    post_invoice(catalog, "1")
    post_invoice(catalog, "1")
    post_invoice(catalog, "2")

    run()

    states = dict(subscription.deliveries.order_by("id").values_list("event__id", "status"))
    assert list(states.values()) == ["held", "pending", "delivered"]
    lane = Lane.objects.get(key="account:1")
    assert lane.blocked_by.hold_cause == "exhausted"
    assert (lane.next_sequence, lane.due_at) == (1, None)


def test_a_lane_that_skips_goes_on_without_what_failed_for_good(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(retry_seconds=[0], on_failure="skip")
    https_receiver.script = lambda r: (500, {}, b"") if b'"sequence": 1,' in r.body else (204, {}, b"")
    post_invoice(catalog)
    post_invoice(catalog)

    run()

    assert list(subscription.deliveries.order_by("id").values_list("status", flat=True)) == [
        "dead",
        "delivered",
    ]


def test_the_standard_schedule_waits_five_seconds_before_the_second_attempt(catalog, https_receiver):
    WebhookSubscriptionFactory()
    https_receiver.script = lambda r: (503, {}, b"")
    post_invoice(catalog)

    run()

    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempt_count) == ("retrying", 1)
    assert timedelta(seconds=4) < delivery.due_at - timezone.now() < timedelta(seconds=6)
    assert delivery.lane.due_at is not None


def test_retry_after_holds_the_whole_channel(catalog, https_receiver):
    WebhookSubscriptionFactory()
    https_receiver.script = lambda r: (429, {"Retry-After": "3600"}, b"")
    post_invoice(catalog, "1")
    run()
    for account in range(2, 8):  # on both shards
        post_invoice(catalog, str(account))
    channel = Delivery.objects.first().channel

    run()

    channel.refresh_from_db()
    assert https_receiver.count == 1
    assert channel.due_at - timezone.now() > timedelta(minutes=59)


def test_a_gone_endpoint_is_paused_and_keeps_what_waits(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory()
    https_receiver.script = lambda r: (410, {}, b"")
    post_invoice(catalog)
    post_invoice(catalog)
    run()
    subscription.endpoint.refresh_from_db()
    assert subscription.endpoint.paused_reason
    assert set(Delivery.objects.values_list("status", "attempt_count")) == {("retrying", 0), ("pending", 0)}
    assert https_receiver.count == 1

    https_receiver.script = lambda r: (204, {}, b"")
    subscription.endpoint.paused_reason = ""
    subscription.endpoint.save()
    run()

    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == [1, 1, 2]


def test_a_mail_leaves_by_the_profile_and_carries_its_tokens(catalog, smtp_sink):
    SmtpProfileFactory()
    template = EmailTemplateFactory(
        subject="Invoice {{ invoice.number }}\nBcc: x@example.com",
        text="Total {{ invoice.total }}",
        html="<b>{{ account.display_name }}</b>",
    )
    EmailSubscriptionFactory(email_template=template, address="ops@example.com")
    data = catalog["invoice.posted"].sample
    data["account"]["display_name"] = "<script>alert(1)</script> & Söhne"
    event = publish("invoice.posted", data).event

    assert run() == 1

    [mail] = smtp_sink.mails
    message = mail.parsed()
    delivery = Delivery.objects.get()
    assert mail.recipients == ("ops@example.com",)
    assert mail.secured
    assert message["From"] == "Example Telecom Billing <billing@example.com>"
    assert message["Message-ID"] == f"<{delivery.public_id}@example.com>"
    assert message["Subject"] == f"Invoice {data['invoice']['number']} Bcc: x@example.com"
    assert message["Bcc"] is None
    assert data["invoice"]["total"] in message.get_body(("plain",)).get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in message.get_body(("html",)).get_content()
    assert (delivery.status, delivery.event) == ("delivered", event)


def test_a_template_that_cannot_be_rendered_holds_its_delivery_and_no_other(catalog, smtp_sink):
    SmtpProfileFactory()
    queue = QueueFactory(is_ordered=False)
    endless = EmailTemplateFactory(text="{% for i in (1..100000000) %}x{% endfor %}")
    broken = EmailSubscriptionFactory(queue=queue, email_template=endless)
    sound = EmailSubscriptionFactory(queue=queue)
    post_invoice(catalog)

    run()

    held = broken.deliveries.get()
    assert (held.status, held.hold_cause, held.attempt_count) == ("held", "rendering", 0)
    assert held.last_error
    assert sound.deliveries.get().status == "delivered"


def test_what_rendering_did_not_expect_holds_its_delivery_and_no_other(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    Parameter.objects.create(subscription=subscription, name="number", value="invoice.number")
    broken, sound = (post_invoice(catalog) for _ in range(2))
    fan_out()
    Event.objects.filter(pk=broken.pk).update(data="not json")

    assert run() == 1

    held = Delivery.objects.get(event=broken)
    assert (held.status, held.hold_cause, held.attempt_count) == ("held", "rendering", 0)
    assert held.last_error.startswith("It could not be put into words: JSONDecodeError: Expecting value")
    assert Delivery.objects.get(event=sound).status == "delivered"
    assert len(https_receiver.received) == 1


def test_an_event_that_breaks_fan_out_is_quarantined_alone(catalog, https_receiver):
    WebhookSubscriptionFactory()
    before, broken, after = (post_invoice(catalog) for _ in range(3))
    Event.objects.filter(pk=broken.pk).update(data="not json")
    Filter.objects.create(subscription=Subscription.objects.get(), token="account.id", value="1001")

    run()

    assert QuarantinedEvent.objects.get().event == broken
    assert list(Delivery.objects.order_by("id").values_list("event_id", "sequence", "status")) == [
        (before.pk, 1, "delivered"), (after.pk, 2, "delivered")
    ]  # fmt: skip
    assert not InboxEntry.objects.exists()


def test_a_worker_whose_lease_was_taken_changes_nothing_and_says_so(catalog, https_receiver):
    WebhookSubscriptionFactory()
    post_invoice(catalog)

    def steal(_request):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE notifications_channel SET epoch = epoch + 1, leased_until = now() + interval '1 s', "
                "due_at = now() + interval '1 s', owner = 'another', in_flight = '{}' WHERE owner <> ''"
            )
        connection.close()
        return 204, {}, b""

    https_receiver.script = steal
    assert run() == 1

    attempt = Attempt.objects.get()
    delivery = Delivery.objects.get()
    assert attempt.is_fenced
    assert (delivery.status, delivery.attempt_count) == ("pending", 0)


def test_what_a_dead_worker_may_have_sent_is_logged_and_sent_again(catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    post_invoice(catalog)
    delivery = _taken_by_a_worker_that_died()

    assert run() == 1

    delivery.refresh_from_db()
    assert [a.verdict for a in delivery.attempts.order_by("number")] == ["crashed", "delivered"]
    assert (delivery.status, delivery.crash_count) == ("delivered", 0)


def test_what_took_three_workers_down_is_held(catalog, https_receiver):
    WebhookSubscriptionFactory()
    post_invoice(catalog, "1")
    for _ in range(3):
        delivery = _taken_by_a_worker_that_died()

    run()

    delivery.refresh_from_db()
    assert (delivery.status, delivery.hold_cause) == ("held", "crashed")
    assert delivery.lane.blocked_by is not None
    assert https_receiver.count == 0


def _taken_by_a_worker_that_died() -> Delivery:
    fan_out()
    leases = claim.lease("dead:1", limit=10)
    fetch.fetch(leases, alone=True)
    Channel.objects.filter(owner="dead:1").update(leased_until=timezone.now(), due_at=timezone.now())
    return Delivery.objects.get()


def test_an_event_with_a_time_of_its_own_waits_for_it(catalog, https_receiver):
    WebhookSubscriptionFactory()
    post_invoice(catalog, deliver_at=timezone.now() + timedelta(seconds=1.5))
    post_invoice(catalog)
    run()
    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == [1]

    Engine(budget=3).run()

    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == [1, 2]


def test_recipients_are_frozen_users_groups_addresses_and_tokens_each_once(catalog, smtp_sink):
    SmtpProfileFactory()
    subscription = EmailSubscriptionFactory(address="Ops@example.com")
    group = Group.objects.create(name="billing")
    member, gone = UserFactory(email="member@example.com"), UserFactory(is_active=False)
    group.user_set.add(member, gone)
    for recipient in (
        {"user": member},
        {"group": group},
        {"token": "contact.email"},
        {"address": "ops@example.com"},
    ):
        Recipient.objects.create(subscription=subscription, **recipient)
    data = catalog["invoice.posted"].sample
    data["contact"]["email"] = "payer@example.com"
    publish("invoice.posted", data)

    run()

    assert sorted(m.recipients[0].lower() for m in smtp_sink.mails) == [
        "member@example.com", "ops@example.com", "payer@example.com"
    ]  # fmt: skip


def test_an_email_without_any_recipient_is_suppressed_with_the_reason(catalog, smtp_sink):
    SmtpProfileFactory()
    subscription = EmailSubscriptionFactory()
    Recipient.objects.all().delete()
    Recipient.objects.create(subscription=subscription, token="contact.email")
    data = catalog["invoice.posted"].sample
    data.pop("contact", None)
    publish("invoice.posted", data)

    run()

    delivery = Delivery.objects.get()
    assert delivery.status == "suppressed"
    assert "contact.email" in delivery.last_error


def test_work_is_found_again_after_the_database_drops_every_connection(catalog, https_receiver):
    WebhookSubscriptionFactory()
    post_invoice(catalog)

    def drop(_request):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        connection.close()
        https_receiver.script = lambda r: (204, {}, b"")
        return 204, {}, b""

    https_receiver.script = drop
    run()

    assert Delivery.objects.get().status == "delivered"
    assert Attempt.objects.count() == 1


@time_machine.travel(timezone.now() + timedelta(minutes=10))
def test_a_host_whose_clock_is_ten_minutes_fast_delivers_all_the_same(catalog, https_receiver):
    WebhookSubscriptionFactory()
    post_invoice(catalog)

    run()

    assert Delivery.objects.get().status == "delivered"


def test_a_mail_that_cannot_be_rendered_stops_its_lane_only_when_its_turn_has_come(catalog, smtp_sink):
    SmtpProfileFactory()
    template = EmailTemplateFactory(
        text="{% if invoice.id == '2' %}{% for i in (1..100000000) %}x{% endfor %}{% endif %}{{ invoice.id }}"
    )
    subscription = EmailSubscriptionFactory(email_template=template)
    for number in ("1", "2", "3"):
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": number}})

    run()

    assert list(subscription.deliveries.order_by("sequence").values_list("status", flat=True)) == [
        "delivered", "held", "pending"
    ]  # fmt: skip
    lane = Lane.objects.get()
    assert (lane.next_sequence, lane.blocked_by.sequence) == (2, 2)
    assert [mail.parsed().get_body(("plain",)).get_content().strip() for mail in smtp_sink.mails] == ["1"]


def test_a_lane_goes_past_what_was_cancelled_behind_its_head(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory()
    for number in range(4):
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": str(number)}})
    fan_out()
    cancelled = subscription.deliveries.filter(sequence__in=[2, 4])
    cancelled.update(status="cancelled", due_at=None, settled_at=timezone.now())

    run()

    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == [1, 3]
    assert list(Lane.objects.values_list("next_sequence", "due_at")) == [(5, None)]


def test_a_busy_endpoint_does_not_keep_its_worker_from_the_others(catalog, https_receiver):
    queue = QueueFactory(is_ordered=False)
    WebhookSubscriptionFactory(queue=queue, endpoint__path="/busy")
    for number in range(600):
        publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": str(number)}})
    fan_out()
    WebhookSubscriptionFactory(queue=queue, endpoint__path="/late")
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "last"}})

    run()

    paths = [r.path for r in https_receiver.received]
    assert (paths.count("/busy"), paths.count("/late")) == (601, 1)
    assert paths.index("/late") < 300


def test_a_skipped_head_lets_its_lane_go_on_while_a_worker_runs(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(retry_seconds=[0])
    https_receiver.script = lambda r: (500, {}, b"") if b'"sequence": 1,' in r.body else (204, {}, b"")
    for _ in range(3):
        post_invoice(catalog)
    with manage("deliver"):
        head = _held_head(subscription)
        report = operate.skip([head.pk], UserFactory(), "the receiver knows it already")
        assert https_receiver.wait_for(4, 60)

    assert (report.done, dict(report.refused)) == (1, {})
    assert [json.loads(r.body)["sequence"] for r in https_receiver.received] == [1, 1, 2, 3]


def _held_head(subscription, seconds=60.0):
    gives_up = time.monotonic() + seconds
    while time.monotonic() < gives_up:
        if held := subscription.deliveries.filter(status="held").first():
            return held
        time.sleep(0.05)
    raise AssertionError("nothing was held")


def test_an_unreadable_secret_pauses_its_endpoint_and_no_other(catalog, https_receiver):
    queue = QueueFactory(is_ordered=False)
    broken, sound = (WebhookSubscriptionFactory(queue=queue, endpoint__path=path) for path in ("/a", "/b"))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_endpoint SET secret = 'gAAAA' WHERE id = %s", [broken.endpoint.pk]
        )
    post_invoice(catalog)

    run()

    broken.endpoint.refresh_from_db(fields=["paused_reason"])
    assert "secret" in broken.endpoint.paused_reason
    assert broken.deliveries.get().status == "pending"
    assert sound.deliveries.get().status == "delivered"


@pytest.mark.parametrize(
    "address", ["a@", "@b.example", "<a@b.example>", "a@[", "ä@", "x" * 400 + "@example.com"]
)
def test_an_impossible_address_is_suppressed_and_stops_nobody(catalog, smtp_sink, address):
    SmtpProfileFactory()
    queue = QueueFactory(is_ordered=False)
    subscription = EmailSubscriptionFactory(queue=queue)
    Recipient.objects.all().delete()
    Recipient.objects.create(subscription=subscription, token="contact.email")
    other = EmailSubscriptionFactory(queue=queue)
    data = catalog["invoice.posted"].sample
    data["contact"]["email"] = address
    publish("invoice.posted", data)

    run()

    assert subscription.deliveries.get().status == "suppressed"
    assert other.deliveries.get().status == "delivered"
    assert not QuarantinedEvent.objects.exists()


def test_a_recipient_token_without_a_value_is_on_record_beside_the_others(catalog, smtp_sink):
    SmtpProfileFactory()
    subscription = EmailSubscriptionFactory(address="ops@example.com")
    Recipient.objects.create(subscription=subscription, token="contact.email")
    data = catalog["invoice.posted"].sample
    data.pop("contact")
    publish("invoice.posted", data)

    run()

    states = dict(subscription.deliveries.values_list("recipient", "status"))
    assert states == {"ops@example.com": "delivered", "": "suppressed"}
    assert "contact.email" in subscription.deliveries.get(recipient="").last_error


def test_slow_templates_do_not_hold_up_the_others(catalog, smtp_sink, https_receiver):
    SmtpProfileFactory()
    queue = QueueFactory(is_ordered=False)
    slow = EmailTemplateFactory(
        text="{% for i in (1..9000) %}{{ i | times: 3 | divided_by: 7.0 | round: 3 }}{% endfor %}"
    )
    EmailSubscriptionFactory(queue=queue, email_template=slow)
    WebhookSubscriptionFactory(queue=queue)
    for _ in range(20):
        post_invoice(catalog)

    run()

    assert https_receiver.count == 20
    assert Delivery.objects.filter(status__in=["delivered", "held"]).count() == 40


def test_a_cancel_between_finding_and_taking_is_obeyed(catalog, https_receiver):
    """The worker waits for the channel's row while an operator cancels: it must not send then."""
    subscription = WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    post_invoice(catalog)
    fan_out()
    [lease] = claim.lease("me:1", limit=10)
    lease.room = 4
    delivery = subscription.deliveries.get()
    taken = []
    actor = UserFactory()
    with transaction.atomic():
        Channel.objects.select_for_update().get(pk=lease.channel_id)
        fetching = threading.Thread(
            target=lambda: (taken.append(fetch.fetch([lease], alone=False)), connection.close())
        )
        fetching.start()
        time.sleep(0.5)
        assert operate.cancel([delivery.pk], actor).done == 1
    fetching.join()

    assert taken[0].claimed == []
    assert lease.may_have_work


def test_a_held_one_stops_its_lane_only_where_it_stands(catalog, https_receiver):
    """The worker has to look again, as something changed under its eyes: what is ahead of the held one stays."""
    WebhookSubscriptionFactory()
    for _ in range(3):
        post_invoice(catalog)
    fan_out()
    ahead, held, _behind = Delivery.objects.order_by("sequence")
    assert operate.hold([held.pk], UserFactory()).done == 1
    [lease] = claim.lease("me:1", limit=10)
    taken = []
    with transaction.atomic():
        Channel.objects.select_for_update().get(pk=lease.channel_id)
        fetching = threading.Thread(
            target=lambda: (taken.append(fetch.fetch([lease], alone=False)), connection.close())
        )
        fetching.start()
        time.sleep(0.5)
        Channel.objects.filter(pk=lease.channel_id).update(wake=F("wake") + 1)
    fetching.join()

    assert taken[0].claimed == []
    assert lease.may_have_work
    assert [one.id for one in fetch.fetch([lease], alone=False).claimed] == [ahead.pk]


@pytest.mark.parametrize(("room", "expected"), [(8, [20] * 4), (4, [20] * 4), (3, [8] * 4), (1, [8] * 4)])
def test_of_many_lanes_no_run_takes_more_than_may_be_unsettled(catalog, room, expected):
    """A longer one would stand still until its beginning is settled, while other lanes wait."""
    subscription = WebhookSubscriptionFactory()
    for number in range(80):
        post_invoice(catalog, str(number % 4))
    fan_out()
    channel = Channel.objects.filter(endpoint=subscription.endpoint).first()
    Lane.objects.update(channel=channel)
    Delivery.objects.update(channel=channel)
    Channel.objects.exclude(pk=channel.pk).update(due_at=None)
    Channel.objects.filter(pk=channel.pk).update(due_at=timezone.now())
    [lease] = claim.lease("me:1", limit=10)
    lease.room, lease.depth = room, claim.DEEP

    taken = Counter(one.lane_id for one in fetch.fetch([lease], alone=False).claimed)

    assert sorted(taken.values()) == sorted(expected)


def test_a_late_gone_answer_pauses_nothing(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory()
    post_invoice(catalog)

    def steal_and_refuse(_request):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE notifications_channel SET epoch = epoch + 1 WHERE owner <> ''")
        connection.close()
        return 410, {}, b""

    https_receiver.script = steal_and_refuse
    Engine(budget=2).run()

    subscription.endpoint.refresh_from_db()
    assert subscription.endpoint.paused_reason == ""
    assert Attempt.objects.get().is_fenced


def test_a_release_during_which_work_came_leaves_the_channel_due(catalog, https_receiver):
    """Without the wake counter the release would write "idle" over the new delivery's wake-up."""
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    post_invoice(catalog)
    run()
    Channel.objects.filter(pk=Delivery.objects.get().channel_id).update(due_at=timezone.now())
    [lease] = claim.lease("me:1", limit=10)
    lease.room = 4
    assert fetch.fetch([lease], alone=False).claimed == []
    releasing = threading.Thread(target=lambda: (claim.release([lease]), connection.close()))
    with transaction.atomic():
        # A fan-out that has locked the channel and not committed: the release waits for it.
        Channel.objects.select_for_update().get(pk=lease.channel_id)
        releasing.start()
        time.sleep(0.5)
        Channel.objects.filter(pk=lease.channel_id).update(wake=F("wake") + 1)
    releasing.join()

    assert Channel.objects.get(pk=lease.channel_id).due_at is not None


def test_a_suspect_goes_alone_so_that_only_the_guilty_is_held(catalog, https_receiver):
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=False))
    for _ in range(6):
        post_invoice(catalog)
    fan_out()
    Delivery.objects.update(crash_count=2)
    flying = []

    def look(_request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(sum(cardinality(in_flight)), 0) FROM notifications_channel")
            flying.append(cursor.fetchone()[0])
        connection.close()
        return 204, {}, b""

    https_receiver.script = look
    run()

    assert flying == [1] * 6
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}


def test_after_a_skip_the_next_one_says_which_numbers_are_missing(catalog, https_receiver):
    subscription = WebhookSubscriptionFactory(retry_seconds=[0], on_failure="skip")
    https_receiver.script = lambda r: (500, {}, b"") if b'"sequence": 2,' in r.body else (204, {}, b"")
    for _ in range(3):
        post_invoice(catalog)

    run()

    last = https_receiver.received[-1]
    assert last.headers["bellwether-sequence"] == "3"
    assert last.headers["bellwether-skipped"] == "2"
    assert last.headers["bellwether-previous"] == subscription.deliveries.get(sequence=1).public_id


def test_two_keys_never_look_alike_in_the_lane_header(catalog, https_receiver):
    WebhookSubscriptionFactory()
    for account in ("é", "è", "a b"):
        post_invoice(catalog, account)

    run()

    lanes = {request.headers["bellwether-lane"].split(":", 1)[1] for request in https_receiver.received}
    assert lanes == {"account:%C3%A9", "account:%C3%A8", "account:a b"}


def test_a_bug_in_the_loop_ends_the_worker_with_all_that_was_sent_written_down(catalog, https_receiver):
    WebhookSubscriptionFactory()
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
    moved = threading.Event()

    def answer(request):
        # The worker's own table goes while it sends: nothing of the kind is expected of a database.
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE events_inboxentry RENAME TO elsewhere")
        connection.close()
        moved.set()
        time.sleep(2 * LOOK_EVERY)  # the loop looks for new events meanwhile, and fails
        return 204, {}, b""

    https_receiver.script = answer
    try:
        with pytest.raises(ProgrammingError):
            Engine(budget=10).run()
    finally:
        if moved.is_set():
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE elsewhere RENAME TO events_inboxentry")

    assert Delivery.objects.get().status == "delivered"
    assert len(https_receiver.received) == 1
    assert not Channel.objects.exclude(leased_until=None).exists(), "everything is given back"
