"""Pausing and resuming in the console: endpoints and profiles with a preview, queues and subscriptions at once."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from events.models import EventType, Queue
from events.publish import publish
from notifications import tasks
from notifications.models import AuditEntry, Channel, Circuit, Delivery, Endpoint, Lane, Subscription
from smtpprofiles.models import SmtpProfile
from tests import console_form
from tests.factories import EndpointFactory, QueueFactory, SmtpProfileFactory, WebhookSubscriptionFactory

pytestmark = pytest.mark.usefixtures("event_types")

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def url(row: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=args)


def deliver(subscription: Subscription, channel: Channel, **values: Any) -> Delivery:
    sample = EventType.objects.get(code="invoice.posted").sample
    event = publish("invoice.posted", sample, queue=subscription.queue.name).event
    values.setdefault("due_at", NOON)
    return Delivery.objects.create(event=event, subscription=subscription, channel=channel, **values)


@pytest.fixture
def stopped(hooks: Any) -> Endpoint:
    """It is paused; two deliveries wait for it in any order, and three in a lane of which one was delivered."""
    endpoint: Endpoint = hooks.endpoint
    first, second = Channel.objects.filter(endpoint=endpoint).order_by("shard")
    lane = Lane.objects.create(
        subscription=hooks, key="account:1", channel=second, tail=4, next_sequence=2, due_at=NOON
    )
    for number in (2, 3, 4):
        deliver(hooks, second, lane=lane, sequence=number)
    deliver(hooks, first)
    deliver(hooks, second)
    Delivery.objects.filter(sequence=2).update(created_at=NOON)
    endpoint.paused_reason = "It answered 410 Gone."
    endpoint.save()
    return endpoint


def press(console: Client, row: Any, name: str, reason: str = "") -> Any:
    return console.post(url(row, "do", row.pk, name), {"reason": reason})


def cells(html: str) -> list[str]:
    """What the cells of the preview say."""
    [html] = re.findall(r'<table class="attempts preview">(.*?)</table>', html, re.DOTALL)
    return [
        re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", each)).strip()
        for each in re.findall(r"<t[dh](?: [^>]*)?>(.*?)</t[dh]>", html, re.DOTALL)
    ]


class TestResumingADestination:
    def test_first_it_shows_what_waits_and_how_long_it_takes(
        self, console: Client, stopped: Endpoint
    ) -> None:
        shown = press(console, stopped, "resume", "receiver is back")
        assert cells(shown.text)[8:] == [
            "main", "paused: It answered 410 Gone.", "5", "3 in 1 lane", "2026-11-20 12:00:00 UTC",
            "1 minute", "1 minute", "1 minute",
        ]  # fmt: skip
        form = console_form.read(shown, "resume")
        assert (form["id"], form["pace"], form["reason"]) == (
            [str(stopped.pk)], ["at_once"], ["receiver is back"]
        )  # fmt: skip
        stopped.refresh_from_db()
        assert not stopped.is_open

    def test_at_once(self, console: Client, stopped: Endpoint) -> None:
        Circuit.objects.update(failures=9, opened_at=NOON, probe_at=NOON, failing_since=NOON)
        form = console_form.read(press(console, stopped, "resume", "receiver is back"), "resume")
        answer = console.post(url(stopped, "resume"), form, follow=True)
        assert answer.redirect_chain[-1][0] == url(stopped, "change", stopped.pk)
        assert "1 endpoint resumed. 5 deliveries that waited may go now, with a slow start." in answer.text
        stopped.refresh_from_db()
        assert stopped.is_open
        circuit = stopped.circuit
        assert (circuit.opened_at, circuit.backlog_left, circuit.backlog_per_minute) == (None, 0, None)
        assert circuit.closed_at
        assert not Channel.objects.filter(is_paused=True).exists()
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject, entry.reason, entry.actor_name) == (
            "endpoint.resume", f"endpoint {stopped.pk}", "receiver is back", "admin"
        )  # fmt: skip

    def test_at_a_rate(self, console: Client, stopped: Endpoint) -> None:
        form = console_form.read(
            press(console, stopped, "resume", "slowly"), "resume", pace="at_a_rate", per_minute="2"
        )
        answer = console.post(url(stopped, "resume"), form, follow=True)
        assert "5 deliveries that waited may go now, at 2 a minute." in answer.text
        assert "Its backlog goes at 2 a minute: 5 left, about 3 minutes." in answer.text
        circuit = Circuit.objects.get(endpoint=stopped)
        assert (circuit.backlog_left, circuit.backlog_per_minute) == (5, 2)
        assert AuditEntry.objects.get().reason == "At 2 a minute. slowly"

    @pytest.mark.parametrize(
        ("pace", "rate", "fault"),
        [
            (
                "at_a_rate",
                "",
                "Write a whole number from 1 to 600,000, without separators. Or choose “At once”",
            ),
            ("at_a_rate", "0", "Write a whole number from 1 to 600,000, without separators."),
            ("at_a_rate", "600001", "Write a whole number from 1 to 600,000, without separators."),
            ("at_a_rate", "a lot", "Write a whole number from 1 to 600,000, without separators."),
            ("at_once", "60", "“At once” is chosen above: empty this, or choose “At a rate”."),
        ],
    )
    def test_a_rate_at_fault_is_refused_at_its_field(
        self, console: Client, stopped: Endpoint, pace: str, rate: str, fault: str
    ) -> None:
        form = console_form.read(press(console, stopped, "resume"), "resume", pace=pace, per_minute=rate)
        answer = console.post(url(stopped, "resume"), form)
        assert answer.status_code == 200
        [shown] = answer.context["form"].errors["per_minute"]
        assert shown.startswith(fault)
        assert "Correct what is marked below." in answer.text
        stopped.refresh_from_db()
        assert not stopped.is_open
        assert not AuditEntry.objects.exists()

    def test_several_are_resumed_from_the_list_and_those_in_use_are_left_alone(
        self, console: Client, stopped: Endpoint
    ) -> None:
        other: Any = EndpointFactory(is_active=False)
        running: Any = EndpointFactory()
        chosen = [stopped.pk, other.pk, running.pk]
        shown = console.post(url(stopped, "changelist"), {"action": "resume", "_selected_action": chosen})
        form = console_form.read(shown, "resume", pace="at_a_rate", per_minute="100")
        assert form["id"] == [str(stopped.pk), str(other.pk)]
        answer = console.post(url(stopped, "resume"), form, follow=True)
        assert "2 endpoints resumed. 5 deliveries" in answer.text
        assert AuditEntry.objects.count() == 2
        again = console.post(url(stopped, "resume"), form, follow=True)
        assert "0 endpoints resumed: none of them is stopped." in again.text
        form = {"action": "resume", "_selected_action": [running.pk]}
        nothing = console.post(url(stopped, "changelist"), form, follow=True)
        assert "0 endpoints resumed: what is chosen is in use already." in nothing.text
        assert AuditEntry.objects.count() == 2

    def test_a_profile_is_resumed_the_same_way(self, console: Client) -> None:
        profile: Any = SmtpProfileFactory(name="Billing mail", paused_reason="535 Bad password.")
        assert (
            "paused: 535 Bad password." in console.get(url(profile, "changelist"), {"status": "paused"}).text
        )
        shown = press(console, profile, "resume")
        assert "paused: 535 Bad password." in shown.text
        assert "Nothing." in console.get(url(profile, "change", profile.pk)).text
        form = console_form.read(shown, "resume", pace="at_a_rate", per_minute="30")
        answer = console.post(url(profile, "resume"), form, follow=True)
        assert "1 SMTP profile resumed." in answer.text
        profile.refresh_from_db()
        assert profile.is_open
        assert AuditEntry.objects.get().action == "smtp_profile.resume"

    def test_it_needs_the_permission_to_change(self, stopped: Endpoint) -> None:
        user = get_user_model().objects.create_user("support", "support@example.com", "pw", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
        viewer = Client()
        viewer.force_login(user)
        assert viewer.get(url(stopped, "resume"), {"id": stopped.pk}).status_code == 403
        assert viewer.post(url(stopped, "resume"), {"id": stopped.pk, "pace": "at_once"}).status_code == 403
        assert press(viewer, stopped, "resume").status_code == 403
        stopped.refresh_from_db()
        assert not stopped.is_open


class TestTheFormOfADestination:
    @pytest.mark.parametrize("kind", ["endpoint", "smtpprofile"])
    def test_ticking_active_resumes_as_the_button_does_and_is_in_the_audit_log(
        self, console: Client, kind: str
    ) -> None:
        row: Any = EndpointFactory() if kind == "endpoint" else SmtpProfileFactory()
        subject = f"{'endpoint' if kind == 'endpoint' else 'smtp profile'} {row.pk}"
        page = url(row, "change", row.pk)
        shown = console_form.read(console.get(page), kind)
        assert console.post(page, shown).status_code == 302
        assert not AuditEntry.objects.exists(), "nothing was switched"

        unticked = {name: value for name, value in shown.items() if name != "is_active"}
        assert console.post(page, unticked).status_code == 302
        assert list(Channel.objects.values_list("is_paused", flat=True)) == [True, True]
        Circuit.objects.update(
            failures=9, opened_at=NOON, probe_at=NOON, backlog_left=7, backlog_per_minute=1
        )
        wakes = list(Channel.objects.order_by("pk").values_list("wake", flat=True))
        assert console.post(page, shown).status_code == 302

        row.refresh_from_db()
        assert row.is_open
        circuit = row.circuit
        assert (circuit.opened_at, circuit.failures, circuit.backlog_left, circuit.backlog_per_minute) == (
            None, 0, 0, None
        )  # fmt: skip
        channels = Channel.objects.exclude(due_at=None).order_by("pk").values_list("is_paused", "wake")
        assert list(channels) == [(False, wake + 1) for wake in wakes]
        noun = subject.partition(" ")[0] if kind == "endpoint" else "smtp_profile"
        switched = AuditEntry.objects.exclude(action__endswith=".update").order_by("id")
        entries = switched.values_list("action", "subject", "actor_name", "reason")
        assert list(entries) == [
            (f"{noun}.pause", subject, "admin", "By an edit."),
            (f"{noun}.resume", subject, "admin", "By an edit."),
        ]


class TestHowADestinationFares:
    def test_the_page_tells_of_an_open_circuit(self, console: Client, stopped: Endpoint) -> None:
        failed = Delivery.objects.get(sequence=2)
        Delivery.objects.update(last_error="HTTP 503")
        Endpoint.objects.update(paused_reason="")
        later = timezone.now() + timedelta(minutes=5)
        Circuit.objects.update(
            failures=7, failing_since=NOON, opened_at=NOON, probe_at=later, probes=2, last_failed=failed.pk
        )
        html = console.get(url(stopped, "change", stopped.pk)).text
        assert "failing since 2026-11-20 12:00:00 UTC: one probe at a time" in html
        assert "Open since 2026-11-20 12:00:00 UTC. 2 probes failed since then. It has failed 7 times" in html
        assert f"the next at {later:%Y-%m-%d %H:%M:%S} UTC" in html
        assert "5 deliveries, 3 of them in 1 lane, the oldest since 2026-11-20 12:00:00 UTC." in html
        assert f'">{failed.public_id}</a> <span title="HTTP 503">HTTP 503</span>' in html

    @pytest.mark.parametrize("factory", [EndpointFactory, SmtpProfileFactory], ids=["endpoint", "profile"])
    def test_the_list_is_filtered_by_how_they_fare(self, console: Client, factory: Any) -> None:
        names = ("running", "failing", "paused", "by a person")
        rows = {
            name: factory(name=name, **({"is_default": False} if "Smtp" in str(factory) else {}))
            for name in names
        }
        rows["paused"].paused_reason, rows["by a person"].is_active = "HTTP 410", False
        for row in rows.values():
            row.save()
        failing = Circuit.objects.filter(pk__in=[rows[name].circuit.pk for name in ("failing", "paused")])
        failing.update(failures=5, failing_since=NOON, opened_at=NOON, probe_at=NOON)
        for name, row in rows.items():
            status = "paused" if name == "by a person" else name
            listed = console.get(url(row, "changelist"), {"status": status})
            found = {each.name for each in listed.context["cl"].result_list}
            assert found == ({"paused", "by a person"} if status == "paused" else {name})
            told = {"by a person": "paused: what is for it waits", "paused": "paused: HTTP 410"}
            assert told.get(name, name) in listed.text

    def test_a_recovering_one_and_one_that_failed_a_little_say_so(
        self, console: Client, stopped: Endpoint
    ) -> None:
        Endpoint.objects.update(paused_reason="")
        Circuit.objects.update(closed_at=timezone.now())
        page = url(stopped, "change", stopped.pk)
        assert "it recovers, so few are sent at once." in console.get(page).text
        Circuit.objects.update(closed_at=None, failures=2, timeouts=2, failing_since=NOON)
        expected = "Closed. 2 failures in a row, the first at 2026-11-20 12:00:00 UTC."
        assert f"{expected} 2 times it did not answer in time." in console.get(page).text

    def test_the_limits_are_set_by_the_form(self, console: Client, stopped: Endpoint) -> None:
        page = url(stopped, "change", stopped.pk)
        form = console_form.read(console.get(page), "endpoint", max_in_flight="3", rate_per_minute="90")
        assert console.post(page, form).status_code == 302
        stopped.refresh_from_db()
        assert (stopped.max_in_flight, stopped.rate_per_minute) == (3, 90)
        refused = console.post(page, form | {"max_in_flight": "65", "rate_per_minute": "0"})
        assert set(refused.context["adminform"].form.errors) == {"max_in_flight", "rate_per_minute"}

    def test_the_lists_take_the_same_queries_for_one_and_for_many(self, console: Client) -> None:
        def queries() -> list[int]:
            found = []
            for row in (Endpoint(), SmtpProfile(), Queue(), Channel()):
                with CaptureQueriesContext(connection) as captured:
                    assert console.get(url(row, "changelist")).status_code == 200
                found.append(len(captured))
            return found

        def add(number: int) -> None:
            for _ in range(number):
                EndpointFactory(paused_reason="HTTP 410")
                SmtpProfileFactory(is_default=False)
                QueueFactory(is_paused=True)

        add(1)
        queries()
        few = queries()
        add(9)
        assert queries() == few

    def test_a_channel_tells_why_it_rests(self, console: Client, stopped: Endpoint) -> None:
        until = timezone.now() + timedelta(minutes=5)
        Channel.objects.update(not_before=until, rest_cause="hanging")
        for html in (
            console.get(
                reverse("admin:notifications_channel_changelist"), {"rest_cause__exact": "hanging"}
            ).text,
            console.get(url(Channel(), "change", Channel.objects.all()[0].pk)).text,
        ):
            assert "It did not answer in time; the next try is a careful one" in html
            assert f"{until:%Y-%m-%d %H:%M:%S} UTC" in html


class TestQueuesAndSubscriptions:
    @pytest.mark.parametrize("kind", ["queue", "subscription"])
    def test_buttons_pause_and_resume_and_what_was_held_goes_on_in_the_background(
        self, console: Client, hooks: Any, kind: str
    ) -> None:
        row: Any = hooks.queue if kind == "queue" else hooks
        answer = console.post(url(row, "do", row.pk, "pause"), {"reason": "migration"}, follow=True)
        assert f"1 {kind} paused." in answer.text
        assert re.search(r"paused since [-\d]{10} [:\d]{8} UTC by admin: migration", answer.text)
        row.refresh_from_db()
        assert row.is_paused
        held = deliver(hooks, Channel.objects.all()[0], status="held", hold_cause="paused", due_at=None)
        assert not OrmQ.objects.exists()

        answer = console.post(url(row, "do", row.pk, "resume"), {"reason": "done"}, follow=True)
        assert f"1 {kind} resumed; what was held for it goes on within moments." in answer.text
        [task] = [queued.task for queued in OrmQ.objects.filter(key="default")]
        assert task["func"] == "notifications.tasks.go_on"
        held.refresh_from_db()
        assert held.status == "held", "the page does not wait for it"
        assert tasks.go_on() == 1
        held.refresh_from_db()
        assert held.status == "pending"
        recorded = AuditEntry.objects.order_by("id").values_list("action", "subject", "reason")
        assert list(recorded) == [
            (f"{kind}.pause", f"{kind} {row.pk}", "migration"),
            (f"{kind}.resume", f"{kind} {row.pk}", "done"),
        ]

    @pytest.mark.parametrize("model", [Queue, Subscription])
    def test_the_list_does_it_to_many_and_counts_those_that_changed(
        self, console: Client, hooks: Any, model: Any
    ) -> None:
        WebhookSubscriptionFactory()
        rows = list(model.objects.all())
        form = {"action": "pause", "_selected_action": [row.pk for row in rows]}
        model.objects.filter(pk=rows[0].pk).update(is_paused=True)
        answer = console.post(url(rows[0], "changelist"), form, follow=True)
        name = model._meta.model_name
        assert f"{len(rows) - 1} {name}{'' if len(rows) == 2 else 's'} paused." in answer.text
        assert model.objects.filter(is_paused=True).count() == len(rows)
        assert AuditEntry.objects.filter(action=f"{name}.pause").count() == len(rows) - 1
        listed = console.get(url(rows[0], "changelist"), {"is_paused__exact": "1"})
        assert listed.context["cl"].result_count == len(rows)

    def test_only_the_button_that_makes_sense_is_offered(self, console: Client, hooks: Any) -> None:
        page = url(hooks.queue, "change", hooks.queue.pk)
        assert 'value="Pause"' in console.get(page).text
        assert 'value="Resume"' not in console.get(page).text
        Queue.objects.update(is_paused=True)
        assert 'value="Pause"' not in console.get(page).text
        assert 'value="Resume"' in console.get(page).text

    def test_saving_a_queue_for_which_nothing_is_held_queues_no_task(self, hooks: Any) -> None:
        hooks.queue.save()
        hooks.save()
        assert not OrmQ.objects.exists()

    def test_pausing_needs_the_permission_to_change(self, hooks: Any) -> None:
        user = get_user_model().objects.create_user("support", "support@example.com", "pw", is_staff=True)
        user.user_permissions.add(
            *Permission.objects.filter(codename__in=["view_queue", "view_subscription"])
        )
        viewer = Client()
        viewer.force_login(user)
        for row in (hooks.queue, hooks):
            assert viewer.post(url(row, "do", row.pk, "pause")).status_code == 403
            row.refresh_from_db()
            assert not row.is_paused
