"""Changing and cancelling events over HTTP, while nothing of them was sent."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from events.models import Grant, InboxEntry, QuarantinedEvent, WithheldEvent
from events.refusals import StateConflict
from notifications.amend import Change, amend
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import (
    Attempt,
    AuditEntry,
    Collected,
    Delivery,
    Digest,
    Filter,
    Lane,
    RenderedBody,
    Subscription,
)
from notifications.take_back import take_back
from tests.calls.conftest import Scene, event_of
from tests.factories import SubscriberFactory, UserFactory, WebhookSubscriptionFactory
from tests.notifications.test_storm_control import end_periods
from tests.servers import HttpsReceiver
from tests.workers import Gauge, until, working

AMENDED = '{"account": {"id": "1001"}, "invoice": {"number": "INV-1", "total": 19.90}}'


def drain() -> None:
    Engine(until_idle=True).run()


def bodies(receiver: HttpsReceiver) -> list[Any]:
    """What arrived, in its order."""
    return [json.loads(request.body) for request in receiver.received]


def states() -> list[tuple[int | None, str, str]]:
    rows = Delivery.objects.order_by("id").values_list("sequence", "status", "hold_cause")
    return [(sequence, status, cause) for sequence, status, cause in rows]


class TestPayload:
    def test_what_is_amended_is_what_is_sent_byte_for_byte(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        event, delivery = scene.fanned_out(amount="10.00")
        RenderedBody.objects.create(delivery=delivery, delivery_created_at=delivery.created_at, body="{}")
        answer = scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}', status=200)
        assert (answer["data"]["invoice"]["total"], answer["held"]) == (19.9, False)
        drain()
        [request] = https_receiver.received
        assert AMENDED.encode() in request.body
        entry = AuditEntry.objects.get(action="event.amend")
        assert entry.subject == event
        assert "data: SHA-256" in entry.reason

    def test_an_event_that_waits_for_its_time_is_amended_too(self, scene: Scene) -> None:
        event = scene.publish(deliver_at="2999-01-01T00:00:00Z")
        scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}', status=200)
        assert event_of(event).data == AMENDED
        assert InboxEntry.objects.get().due_at.year == 2999  # type: ignore[union-attr]

    def test_repeating_the_first_publish_still_finds_the_amended_event(self, scene: Scene) -> None:
        event = scene.publish(idempotency_key="k1")
        scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}', status=200)
        data = '{"account": {"id": "1001"}, "invoice": {"number": "INV-1", "total": 1.00}}'
        body = f'{{"type": "invoice.posted", "idempotency_key": "k1", "data": {data}}}'
        assert scene.api("post", "events/", body, status=200)["id"] == event

    def test_who_is_concerned_is_asked_again(self, scene: Scene) -> None:
        large = WebhookSubscriptionFactory(queue=scene.queue, endpoint=scene.hooks.endpoint, name="large")
        small = WebhookSubscriptionFactory(queue=scene.queue, endpoint=scene.hooks.endpoint, name="small")
        Filter.objects.create(subscription=large, token="invoice.total", operator="gt", value="15")
        Filter.objects.create(subscription=small, token="invoice.total", operator="lt", value="15")
        event, _ = scene.fanned_out(amount="10.00")
        assert set(Delivery.objects.values_list("subscription__name", flat=True)) == {"hooks", "small"}
        scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}', status=200)
        found = dict(Delivery.objects.values_list("subscription__name", "status"))
        assert found == {"hooks": "pending", "small": "cancelled", "large": "pending"}

    def test_what_could_not_be_rendered_goes_on(self, scene: Scene) -> None:
        event, delivery = scene.fanned_out()
        Delivery.objects.filter(pk=delivery.pk).update(status="held", hold_cause="rendering", due_at=None)
        Lane.objects.update(blocked_by=delivery, due_at=None)
        scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}', status=200)
        assert states() == [(1, "pending", "")]
        assert Lane.objects.get().blocked_by is None

    def test_a_wrong_change_names_its_member(self, scene: Scene) -> None:
        event, delivery = scene.fanned_out()
        for body, field, told in (
            ("{}", "", "Give at least one of: data, deliver_at, held."),
            ('{"amount": 1}', "/amount", "Unknown member"),
            ('{"held": 1}', "/held", "Expected `bool`"),
            ('{"deliver_at": "tomorrow"}', "/deliver_at", "Invalid RFC3339"),
            ('{"deliver_at": "9999-01-01T00:00:00Z"}', "/deliver_at", "1970 to 2999"),
            ('{"data": 7}', "/data", "must be a JSON object"),
            ('{"data": {"account": {"id": "2"}}}', "/data/account/id", "its place in the order"),
        ):
            [fault] = scene.api("patch", f"events/{event}/", body, status=400)["errors"]
            assert (fault["field"], told in fault["detail"]) == (field, True), fault
        assert event_of(event).data == delivery.event.data


class TestSent:
    def test_what_was_sent_is_named_and_nothing_changes(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        event, _ = scene.fanned_out()
        drain()
        for change in ('{"held": true}', f'{{"data": {AMENDED}}}', '{"deliver_at": null}'):
            problem = scene.api("patch", f"events/{event}/", change, status=409)
            assert problem["sent"] == [{"state": "delivered", "count": 1}]
        assert not AuditEntry.objects.exists()
        assert len(https_receiver.received) == 1

    @pytest.mark.parametrize("ran_out", [False, True])
    def test_what_a_worker_took_may_be_sent(self, scene: Scene, ran_out: bool) -> None:
        event, delivery = scene.fanned_out()
        until = timezone.now() + timedelta(seconds=-1 if ran_out else 60)
        channel = delivery.channel
        assert channel
        channel.leased_until, channel.owner, channel.in_flight = until, "w", [delivery.pk]
        channel.save()
        problem = scene.api("patch", f"events/{event}/", '{"held": true}', status=409)
        assert problem["sent"][0]["state"] == "in flight"
        answer = scene.api("delete", f"events/{event}/", status=200)
        counts = answer["cancelled"], answer["tried"], answer["in_flight"]
        assert counts == ((1, 1, 0) if ran_out else (0, 0, 1))

    def test_a_failed_try_counts_as_sent(self, scene: Scene) -> None:
        event, delivery = scene.fanned_out()
        Attempt.objects.create(
            delivery=delivery, number=1, verdict="retry", duration_ms=1, worker="w", epoch=1,
            started_at=timezone.now(),
        )  # fmt: skip
        Delivery.objects.update(status="retrying")
        assert scene.api("patch", f"events/{event}/", '{"held": true}', status=409)["sent_count"] == 1


class TestHold:
    def test_a_held_event_blocks_its_lane_says_so_and_goes_on_in_order(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        first = scene.publish()
        # Not fanned out yet: it takes its place in the lane first.
        answer = scene.api("patch", f"events/{first}/", '{"held": true}', status=200)
        assert (answer["held"], answer["blocked_lanes"]) == (True, 1)
        second = scene.publish(amount="2.00")
        drain()
        assert https_receiver.received == []
        assert states() == [(1, "held", "publisher"), (2, "pending", "")]
        answer = scene.api("patch", f"events/{first}/", '{"held": false}', status=200)
        assert (answer["held"], answer["blocked_lanes"]) == (False, 0)
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == [first, second]

    def test_one_behind_others_blocks_the_lane_when_it_comes_to_it(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        first, second, third = (scene.publish(amount=f"{n}.00") for n in range(3))
        scene.api("patch", f"events/{second}/", '{"held": true}', status=200)
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == [first]
        assert Lane.objects.get().blocked_by is not None
        assert scene.api("delete", f"events/{second}/", status=200)["cancelled"] == 1
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == [first, third]
        assert https_receiver.received[1].headers["bellwether-skipped"] == "2"

    def test_one_that_waits_for_its_time_is_held_outside_of_its_lane(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        later = scene.publish(deliver_at="2999-01-01T00:00:00Z")
        answer = scene.api("patch", f"events/{later}/", '{"held": true}', status=200)
        assert (answer["held"], answer["blocked_lanes"]) == (True, 0)
        scene.api("patch", f"events/{later}/", '{"deliver_at": null}', status=200)
        drain()
        assert not Delivery.objects.exists()
        scene.api("patch", f"events/{later}/", '{"held": false}', status=200)
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == [later]

    def test_what_a_person_holds_stays_held(self, scene: Scene) -> None:
        event, _ = scene.fanned_out()
        Delivery.objects.update(status="held", hold_cause="operator", due_at=None)
        scene.api("patch", f"events/{event}/", '{"held": false}', status=200)
        assert states() == [(1, "held", "operator")]


class TestTime:
    def test_a_later_time_takes_its_number_when_it_falls_due(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        first = scene.publish()
        fan_out()
        second = scene.publish(amount="2.00")
        scene.api("patch", f"events/{first}/", '{"deliver_at": "2999-01-01T00:00:00Z"}', status=200)
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == [second]
        scene.api("patch", f"events/{first}/", '{"deliver_at": null}', status=200)
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == [second, first]
        assert [body["sequence"] for body in bodies(https_receiver)] == [2, 3]
        assert https_receiver.received[0].headers["bellwether-skipped"] == "1"
        assert event_of(first).deliver_at is None

    def test_one_with_a_part_cancelled_is_not_rescheduled(self, scene: Scene) -> None:
        event, _ = scene.fanned_out()
        Delivery.objects.update(status="cancelled", settled_at=timezone.now(), due_at=None)
        problem = scene.api("patch", f"events/{event}/", '{"deliver_at": "2999-01-01T00:00:00Z"}', status=409)
        assert "was cancelled or skipped" in problem["detail"]

    def test_a_quarantined_event_that_is_amended_is_fanned_out_again(self, scene: Scene) -> None:
        event = scene.publish()
        InboxEntry.objects.all().delete()
        QuarantinedEvent.objects.create(event=event_of(event), error="x")
        scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}', status=200)
        assert (QuarantinedEvent.objects.count(), InboxEntry.objects.count()) == (0, 1)


class TestCancel:
    def test_what_waits_is_cancelled_and_what_was_sent_is_counted(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        event, _ = scene.fanned_out()
        drain()
        other = WebhookSubscriptionFactory(queue=scene.queue, endpoint=scene.hooks.endpoint, name="other")
        Delivery.objects.create(
            event=event_of(event), subscription=other, channel=Delivery.objects.get().channel,
            due_at=timezone.now(),
        )  # fmt: skip
        answer = scene.api("delete", f"events/{event}/", status=200)
        assert answer == {
            "id": event, "state": "partly_sent", "cancelled": 1, "tried": 0, "in_flight": 0, "delivered": 1,
            "ended_before": 0,
        }  # fmt: skip
        again = scene.api("delete", f"events/{event}/", status=200)
        assert (again["cancelled"], again["ended_before"]) == (0, 1)

    @pytest.mark.parametrize("is_fanned_out", [False, True])
    def test_one_of_which_nothing_was_sent_is_gone(
        self, scene: Scene, https_receiver: HttpsReceiver, is_fanned_out: bool
    ) -> None:
        event = scene.publish()
        if is_fanned_out:
            fan_out()
        answer = scene.api("delete", f"events/{event}/", status=200)
        assert (answer["state"], answer["cancelled"]) == ("cancelled", int(is_fanned_out))
        drain()
        assert https_receiver.received == []
        assert scene.api("get", f"events/{event}/", status=200)["cancelled_at"]
        problem = scene.api("patch", f"events/{event}/", '{"held": true}', status=409)
        assert (problem["state"], "Publish it again" in problem["detail"]) == ("cancelled", True)
        assert AuditEntry.objects.filter(action="event.cancel", subject=event).count() == 1

    def test_it_says_when_it_was_cancelled_not_since_when_it_was_held(self, scene: Scene) -> None:
        event = scene.publish(deliver_at="2999-01-01T00:00:00Z")
        scene.api("patch", f"events/{event}/", '{"held": true}', status=200)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        WithheldEvent.objects.update(since=long_ago)
        scene.api("delete", f"events/{event}/", status=200)
        assert WithheldEvent.objects.get().since > long_ago
        WithheldEvent.objects.update(since=long_ago)
        scene.api("delete", f"events/{event}/", status=200)
        assert WithheldEvent.objects.get().since == long_ago, "a repetition changes nothing"


class TestDigests:
    @pytest.fixture
    def collected(self, scene: Scene, https_receiver: HttpsReceiver) -> list[str]:
        """One event that arrived alone, and two that wait behind it for the digest of their lane."""
        Subscription.objects.filter(pk=scene.hooks.pk).update(storm_limit=1, storm_minutes=30)
        events = [scene.publish(amount=f"{n}.00") for n in range(3)]
        drain()
        assert states() == [(1, "delivered", ""), (2, "held", "collected"), (3, "held", "collected")]
        return events

    def close(self) -> Delivery:
        end_periods()
        fan_out()
        carrier = Digest.objects.get(delivery__isnull=False).delivery
        assert carrier
        return carrier

    def test_what_a_digest_carries_stays_in_it(
        self, scene: Scene, collected: list[str], https_receiver: HttpsReceiver
    ) -> None:
        carrier = self.close()
        later = scene.publish(amount="9.00")
        operator = scene.key("events:update", subscriber=scene.publisher, is_operator=True)
        for change in ('{"held": true}', f'{{"data": {AMENDED}}}', '{"deliver_at": "2999-01-01T00:00:00Z"}'):
            [sent] = operator("patch", f"events/{collected[1]}/", change, status=409)["sent"]
            assert sent["state"] == f"goes out in the digest {carrier.public_id}"
            told = scene.api("patch", f"events/{collected[1]}/", change, status=409)["sent"]
            assert told == [{"state": "goes out in the digest dlv_… of another subscriber", "count": 1}]
        answer = scene.api("delete", f"events/{collected[1]}/", status=200)
        assert (answer["state"], answer["cancelled"], answer["in_flight"]) == ("partly_sent", 0, 1)
        drain()
        single, digest = bodies(https_receiver)[:2]
        assert single["id"] == collected[0]
        assert [each["id"] for each in digest["data"]["events"]] == collected[1:]
        assert later not in str(digest)
        answer = scene.api("delete", f"events/{collected[1]}/", status=200)
        assert (answer["state"], answer["delivered"], answer["ended_before"]) == ("partly_sent", 1, 0)

    def test_what_waits_for_a_digest_is_held_and_cancelled_outside_of_it(
        self, scene: Scene, collected: list[str], https_receiver: HttpsReceiver
    ) -> None:
        answer = scene.api("patch", f"events/{collected[1]}/", '{"held": true}', status=200)
        assert (answer["held"], answer["blocked_lanes"]) == (True, 1)
        assert states()[1:] == [(2, "held", "publisher"), (3, "held", "collected")]
        assert Collected.objects.get().delivery.sequence == 3
        assert scene.api("delete", f"events/{collected[2]}/", status=200)["state"] == "cancelled"
        assert not Collected.objects.exists()
        scene.api("patch", f"events/{collected[1]}/", '{"held": false}', status=200)
        end_periods()
        drain()
        assert [body["id"] for body in bodies(https_receiver)] == collected[:2]

    def test_the_event_of_a_digest_is_operated_by_its_delivery(
        self, scene: Scene, collected: list[str]
    ) -> None:
        # Before it is closed it is in no queue, so that no grant reaches it.
        event, person = InboxEntry.objects.get().event, UserFactory(is_superuser=True)
        with pytest.raises(StateConflict, match="operate its delivery"):
            amend(event.pk, Change(held=True), person)
        with pytest.raises(StateConflict, match="operate its delivery"):
            take_back(event.pk, person)
        assert InboxEntry.objects.get().event == event
        assert self.close().event == event
        Grant.objects.update(others_entries=True)
        for method, body in (("patch", '{"held": true}'), ("patch", '{"data": {}}'), ("delete", None)):
            problem = scene.api(method, f"events/{event.public_id}/", body, status=409)
            assert "operate its delivery" in problem["detail"]
        assert states()[1:] == [(2, "held", "collected"), (3, "held", "collected"), (1, "pending", "")]
        assert not WithheldEvent.objects.exists()


class TestGrants:
    def test_the_grants_on_each_queue_decide(self, scene: Scene) -> None:
        cases: list[tuple[bool, dict[str, bool] | None, int, int]] = [
            (True, {"can_update": True, "can_delete": True}, 200, 200),
            (True, {"can_update": True}, 200, 403),
            (True, {"can_delete": True}, 403, 200),
            (True, {"can_create": True}, 403, 403),
            (True, None, 403, 403),
            (False, {"can_update": True, "can_delete": True}, 403, 403),
            (False, {"can_update": True, "others_entries": True}, 200, 403),
            (False, {"can_delete": True, "others_entries": True}, 403, 200),
        ]
        whole = Grant.objects.get()
        other: Any = SubscriberFactory()
        for is_own, granted, patch, delete in cases:
            whole.save()  # as the publisher needs it to publish
            event, delivery = scene.fanned_out()
            who = scene.publisher if is_own else other
            Grant.objects.filter(subscriber=who).delete()
            if granted:
                Grant.objects.create(subscriber=who, queue=scene.queue, **granted)
            api = scene.key("events:update", "events:delete", subscriber=who)
            problem = api("patch", f"events/{event}/", '{"held": true}', status=patch)
            assert patch == 200 or "billing" in problem["detail"]
            api("delete", f"events/{event}/", status=delete)
            becomes = "cancelled" if delete == 200 else "held" if patch == 200 else "pending"
            delivery.refresh_from_db()
            assert delivery.status == becomes, granted
            Grant.objects.all().delete()

    def test_who_may_change_anothers_event_reads_neither_its_payload_nor_others_deliveries(
        self, scene: Scene, https_receiver: HttpsReceiver
    ) -> None:
        event, delivery = scene.fanned_out()
        other: Any = SubscriberFactory()
        cases = [
            # subscriber, is an operator's key, reads the payload, is told of the delivery as
            (other, False, False, {"state": "delivered", "count": 1}),
            (scene.hooks.subscriber, False, False, None),
            (scene.publisher, False, True, {"state": "delivered", "count": 1}),
            (other, True, True, None),
        ]
        named = {"id": delivery.public_id, "subscription": scene.hooks.pk, "state": "delivered"}
        for who, _, _, _ in cases[:2]:
            Grant.objects.create(subscriber=who, queue=scene.queue, can_update=True, others_entries=True)
        apis = [scene.key("events:update", subscriber=who, is_operator=power) for who, power, _, _ in cases]
        for api, (*_, reads, _) in zip(apis, cases, strict=True):
            answer = api("patch", f"events/{event}/", '{"held": false}', status=200)
            assert (answer["id"], "data" in answer) == (event, reads)
        drain()
        for api, (*_, counted) in zip(apis, cases, strict=True):
            problem = api("patch", f"events/{event}/", '{"held": true}', status=409)
            assert (problem["sent"], problem["sent_count"]) == ([counted or named], 1)
            assert (delivery.public_id in problem["detail"]) == (counted is None)

    def test_a_key_without_the_scope_changes_nothing(self, scene: Scene) -> None:
        event, _ = scene.fanned_out()
        api = scene.key("events:read", "events:create", subscriber=scene.publisher)
        for method in ("patch", "delete"):
            assert "lacks the scope events:" in api(method, f"events/{event}/", "{}", status=403)["detail"]


def test_workers_never_send_what_was_cancelled_nor_what_was_before_an_amendment(
    scene: Scene, https_receiver: HttpsReceiver
) -> None:
    cancelled: dict[str, int] = {}
    amended: set[str] = set()
    events = [scene.publish() for _ in range(80)]

    def change() -> None:
        try:
            # From the end, where nothing is taken yet, to where the workers are.
            for at, event in enumerate(reversed(events)):
                if at % 2:
                    answer = scene.api("delete", f"events/{event}/", status=200)
                    cancelled[event] = answer["cancelled"] if answer["state"] == "cancelled" else 0
                elif "sent" not in scene.api("patch", f"events/{event}/", f'{{"data": {AMENDED}}}'):
                    amended.add(event)
        finally:
            connection.close()

    https_receiver.script = Gauge(seconds=0.02)
    with working(2):
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        unfinished = Delivery.objects.filter(status__in=["pending", "retrying"])
        assert until(lambda: not (unfinished.exists() or InboxEntry.objects.exists()))
    arrived = bodies(https_receiver)
    sent = {body["id"] for body in arrived}
    withheld = {f"evt_{each.event.uid.hex}" for each in WithheldEvent.objects.select_related("event")}
    assert not sent & (withheld | {event for event, count in cancelled.items() if count})
    assert withheld | sent == set(events)
    wrong = [
        body["id"]
        for body in arrived
        if (body["id"] in amended) != (body["data"]["invoice"]["total"] == 19.9)
    ]
    assert wrong == []
    # Both happened, or this would have tried nothing.
    assert amended
    assert withheld


def test_times_are_of_the_zone_that_was_given(scene: Scene) -> None:
    event = scene.publish()
    scene.api("patch", f"events/{event}/", '{"deliver_at": "2998-01-01T01:00:00+01:00"}', status=200)
    assert event_of(event).deliver_at == datetime(2998, 1, 1, tzinfo=UTC)
