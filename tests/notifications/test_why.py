"""Where a delivery stands, told on its page and in the list, for every reason there is to wait."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from events.models import EventType, Queue
from events.publish import publish
from notifications import operate
from notifications.models import AuditEntry, Channel, Circuit, Delivery, Endpoint, Lane, Subscription
from smtpprofiles.models import SmtpProfile
from tests.factories import (
    EmailSubscriptionFactory,
    SmtpProfileFactory,
    WebhookSubscriptionFactory,
)

pytestmark = pytest.mark.usefixtures("event_types")

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def deliver(subscription: Subscription, **values: Any) -> Delivery:
    """A delivery of a new event, due now unless told otherwise."""
    sample = EventType.objects.get(code="invoice.posted").sample
    values.setdefault("due_at", timezone.now() if values.get("status", "pending") != "held" else None)
    if "channel" not in values:
        values["channel"] = Channel.objects.get(endpoint=subscription.endpoint, shard=0)
    event = publish("invoice.posted", sample, queue=subscription.queue.name).event
    return Delivery.objects.create(event=event, subscription=subscription, **values)


def in_lane(subscription: Subscription, *rows: dict[str, Any], **values: Any) -> list[Delivery]:
    channel = Channel.objects.get(endpoint=subscription.endpoint, shard=0)
    key = f"account:{Lane.objects.count()}"
    lane = Lane.objects.create(
        subscription=subscription, key=key, channel=channel, tail=len(rows), **{"due_at": NOON, **values}
    )
    return [deliver(subscription, lane=lane, sequence=n, **row) for n, row in enumerate(rows, 1)]


def page(delivery: Delivery) -> str:
    return reverse("admin:notifications_delivery_change", args=[delivery.pk])


def told(console: Client, delivery: Delivery) -> tuple[str, str]:
    """The sentence of the page, and the words of the list."""
    html = console.get(page(delivery)).text
    [sentence] = re.findall(r'class="why">(.*?)</p>', html, re.DOTALL)
    listed = console.get(reverse("admin:notifications_delivery_changelist")).context["cl"]
    [row] = [row for row in listed.result_list if row.pk == delivery.pk]
    return strip_tags(sentence), listed.model_admin.next_try(row)


def open_circuit(**values: Any) -> None:
    Circuit.objects.update(failures=7, failing_since=NOON, opened_at=NOON, **{"probe_at": NOON, **values})


class TestDestination:
    def test_paused_by_a_person(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Endpoint.objects.update(is_active=False)
        assert told(console, delivery) == ("Waits: the endpoint main is paused.", "endpoint paused")

    def test_paused_with_its_reason(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Endpoint.objects.update(paused_reason="It answered 410 Gone")
        sentence, short = told(console, delivery)
        assert sentence == "Waits: the endpoint main is paused: It answered 410 Gone."
        assert short == "endpoint paused"

    def test_disabled_after_five_days(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        reason = "Disabled: everything has failed since 2026-11-15 09:00 UTC. HTTP 500"
        Endpoint.objects.update(paused_reason=reason)
        assert told(console, delivery) == (
            "Waits: the endpoint main is disabled: everything has failed since 2026-11-15 09:00 UTC. HTTP 500. "
            "Resume it once it works again.",
            "endpoint disabled",
        )

    def test_a_profile_is_named_as_one(self, console: Client) -> None:
        profile: Any = SmtpProfileFactory(name="Billing mail")
        mails: Any = EmailSubscriptionFactory()
        channel = Channel.objects.get(profile=profile, shard=0)
        delivery = deliver(mails, channel=channel, recipient="ops@example.com")
        SmtpProfile.objects.update(paused_reason="535 Bad password.")
        assert told(console, delivery) == (
            "Waits: the SMTP profile Billing mail is paused: 535 Bad password.",
            "profile paused",
        )

    def test_both_stops_are_told_at_once(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Endpoint.objects.update(is_active=False)
        Queue.objects.update(is_paused=True)
        assert told(console, delivery)[0] == (
            "Waits: the endpoint main is paused. Besides, its queue invoices is paused. "
            "It goes on, in order, once that is resumed."
        )


class TestCircuit:
    def test_open_with_a_probe_due(self, console: Client, hooks: Any) -> None:
        delivery = deliver(
            hooks, status="retrying", attempt_count=2, due_at=timezone.now() + timedelta(hours=5)
        )
        open_circuit()
        assert told(console, delivery) == (
            "Waits: the endpoint main has failed 7 times in a row since 2026-11-20 12:00:00 UTC; nothing is sent "
            "but one probe at a time, the next as soon as a worker is free; no attempt is spent meanwhile.",
            "endpoint failing",
        )

    def test_open_with_the_time_of_the_next_probe(self, console: Client, hooks: Any) -> None:
        delivery, later = deliver(hooks), timezone.now() + timedelta(minutes=5)
        open_circuit(probe_at=later)
        Channel.objects.update(not_before=later + timedelta(minutes=1), rest_cause="open")
        expected = f"the next at {later + timedelta(minutes=1):%Y-%m-%d %H:%M:%S} UTC;"
        assert expected in told(console, delivery)[0], "its rest counts, where that is longer"

    def test_what_is_behind_a_head_tells_of_the_head_s_circuit(self, console: Client, hooks: Any) -> None:
        head, second = in_lane(hooks, {}, {})
        open_circuit()
        sentence, short = told(console, second)
        assert sentence.startswith(
            f"Number 2 of its lane: waits behind {head.public_id} (number 1 of its lane), which waits: "
            "the endpoint main has failed 7 times in a row"
        )
        assert short == "behind #1"

    def test_a_probe_under_way(self, console: Client, hooks: Any) -> None:
        delivery, until = deliver(hooks), timezone.now() + timedelta(minutes=1)
        open_circuit()
        Channel.objects.filter(deliveries=delivery).update(
            in_flight=[delivery.pk], leased_until=until, due_at=until, owner="w"
        )
        assert told(console, delivery) == ("It is being sent now, as a probe.", "now")

    def test_one_that_recovers_is_told_of_where_it_slows(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Circuit.objects.update(closed_at=timezone.now())
        assert told(console, delivery) == (
            "Due now: it is sent as soon as its turn comes; the endpoint main recovers, so few are sent at once.",
            "now",
        )
        Circuit.objects.update(closed_at=timezone.now() - timedelta(minutes=2))
        assert told(console, delivery)[0] == "Due now: it is sent as soon as a worker is free."


class TestRest:
    def test_asked_by_the_receiver(self, console: Client, hooks: Any) -> None:
        delivery, until = deliver(hooks), timezone.now() + timedelta(hours=1)
        Channel.objects.update(not_before=until, rest_cause="asked")
        when = f"{until:%Y-%m-%d %H:%M:%S} UTC"
        assert told(console, delivery) == (
            f"Waits: the endpoint main asked to be left alone until {when} (Retry-After).", when
        )  # fmt: skip

    @pytest.mark.parametrize(("timeouts", "often"), [(1, ""), (3, ", 3 times in a row")])
    def test_hanging(self, console: Client, hooks: Any, timeouts: int, often: str) -> None:
        delivery, until = deliver(hooks), timezone.now() + timedelta(minutes=1)
        Channel.objects.update(not_before=until, rest_cause="hanging")
        Circuit.objects.update(timeouts=timeouts, failures=timeouts)
        when = f"{until:%Y-%m-%d %H:%M:%S} UTC"
        assert told(console, delivery) == (
            f"Waits: the endpoint main did not answer in time{often}; it rests until {when}.", when
        )  # fmt: skip

    def test_a_rest_that_is_over_or_shorter_than_its_own_wait_is_not_told(
        self, console: Client, hooks: Any
    ) -> None:
        later = timezone.now() + timedelta(hours=2)
        delivery = deliver(hooks, status="retrying", attempt_count=3, due_at=later)
        Channel.objects.update(not_before=timezone.now() + timedelta(hours=1), rest_cause="asked")
        when = f"{later:%Y-%m-%d %H:%M:%S} UTC"
        assert told(console, delivery) == (
            f"Waits until {when} for its next attempt. 3 attempts failed.", when
        )  # fmt: skip
        Delivery.objects.update(due_at=NOON)
        Channel.objects.update(not_before=NOON)
        assert told(console, delivery)[1] == "now"

    def test_a_rate_limit_that_is_used_up(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Endpoint.objects.update(rate_per_minute=90)
        assert told(console, delivery) == (
            "Due now: it is sent as soon as a worker is free and the rate limit of 90 a minute lets it.", "now"
        )  # fmt: skip
        Channel.objects.update(not_before=timezone.now() + timedelta(seconds=30), rest_cause="rate")
        assert told(console, delivery) == (
            "Waits: the endpoint main has used up its rate limit of 90 a minute for now.", "rate limited"
        )  # fmt: skip

    def test_a_backlog_that_goes_at_its_own_rate(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Circuit.objects.update(backlog_left=1200, backlog_per_minute=60)
        assert told(console, delivery) == (
            "Waits: the backlog of the endpoint main goes at 60 a minute; 1,200 of it are left.", "rate limited"
        )  # fmt: skip
        Endpoint.objects.update(rate_per_minute=30)
        assert "goes at 30 a minute" in told(console, delivery)[0], "the lower one counts"


class TestPause:
    @pytest.mark.parametrize(
        ("model", "name"), [(Queue, "queue invoices"), (Subscription, "subscription hooks")]
    )
    def test_pending_and_parked_and_behind_one(
        self, console: Client, hooks: Any, model: Any, name: str
    ) -> None:
        pending = deliver(hooks)
        parked, behind = in_lane(hooks, {"status": "held", "hold_cause": "paused"}, {}, due_at=None)
        Lane.objects.update(blocked_by=parked)
        model.objects.filter(name=name.split()[1]).update(is_paused=True)
        short = f"{name.split(maxsplit=1)[0]} paused"
        goes_on = f"its {name} is paused. It goes on, in order, once that is resumed."
        assert told(console, pending) == (f"Waits: {goes_on}", short)
        assert told(console, behind) == (f"Waits: {goes_on}", short)
        assert told(console, parked) == (f"Held: {goes_on}", short)

    def test_once_the_pause_is_over_it_goes_on_soon(self, console: Client, hooks: Any) -> None:
        parked, behind = in_lane(hooks, {"status": "held", "hold_cause": "paused"}, {}, due_at=None)
        Lane.objects.update(blocked_by=parked)
        over = "for a pause that is over: it goes on within a minute."
        assert told(console, parked) == (f"Held {over}", "soon")
        assert told(console, behind)[0].endswith(f"which is held {over}")

    def test_the_sentence_links_what_is_paused(self, console: Client, hooks: Any) -> None:
        delivery = deliver(hooks)
        Endpoint.objects.update(is_active=False)
        Queue.objects.update(is_paused=True)
        html = console.get(page(delivery)).text
        for name, row, text in (
            ("notifications_endpoint", hooks.endpoint, "endpoint main"),
            ("events_queue", hooks.queue, "queue invoices"),
        ):
            assert f'<a href="{reverse(f"admin:{name}_change", args=[row.pk])}">{text}</a>' in html

    def test_retrying_what_is_paused_is_refused_with_what_helps(
        self, console: Client, hooks: Any, admin_user: Any
    ) -> None:
        parked = deliver(hooks, status="held", hold_cause="paused")
        waiting = deliver(hooks, status="retrying", attempt_count=1)
        Queue.objects.update(is_paused=True)
        report = operate.retry([parked.pk, waiting.pk], admin_user)
        assert report.done == 0
        assert report.refused == {"its queue invoices is paused: resume the queue, and it goes on": 2}
        assert not AuditEntry.objects.exists()
        assert 'value="Retry now"' not in console.get(page(parked)).text
        assert operate.cancel([parked.pk], admin_user).done == 1

    def test_once_resumed_it_can_be_retried(self, hooks: Any, admin_user: Any) -> None:
        parked = deliver(hooks, status="held", hold_cause="paused")
        assert operate.retry([parked.pk], admin_user).done == 1


class TestCost:
    def test_the_list_takes_the_same_queries_for_one_row_and_for_many(self, console: Client) -> None:
        def add(number: int) -> None:
            for index in range(number):
                hooks: Any = WebhookSubscriptionFactory()
                head, _, _ = in_lane(
                    hooks, {"status": "held", "hold_cause": "exhausted"}, {}, {}, due_at=None
                )
                deliver(hooks)
                Lane.objects.filter(deliveries=head).update(blocked_by=head)
                Endpoint.objects.filter(pk=hooks.endpoint_id).update(is_active=bool(index % 2))
                Queue.objects.filter(pk=hooks.queue_id).update(is_paused=index % 3 == 0)
                Circuit.objects.filter(endpoint=hooks.endpoint).update(
                    failures=7, failing_since=NOON, opened_at=NOON, probe_at=NOON
                )

        def queries() -> int:
            with CaptureQueriesContext(connection) as found:
                assert console.get(reverse("admin:notifications_delivery_changelist")).status_code == 200
            return len(found)

        add(1)
        queries()
        few = queries()
        add(8)
        assert queries() == few

    def test_the_page_asks_no_more_for_a_reason_than_for_none(self, console: Client, hooks: Any) -> None:
        plain = deliver(hooks)
        _, behind = in_lane(hooks, {}, {})
        for warm in (plain, behind):
            console.get(page(warm))

        def queries(delivery: Delivery) -> int:
            with CaptureQueriesContext(connection) as found:
                console.get(page(delivery))
            return len(found)

        usual = queries(plain)
        assert queries(behind) == usual + 3, (
            "its head for the sentence and for the link, and the name of its lane"
        )
        open_circuit()
        Queue.objects.update(is_paused=True)
        assert queries(plain) == usual + 1, "who paused it, and why"
