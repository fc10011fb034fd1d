"""Retry, skip, cancel, hold and release over HTTP."""

from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications.engine import Engine
from notifications.models import AuditEntry, Delivery, Lane, Parameter
from tests.calls.conftest import Scene
from tests.factories import WebhookSubscriptionFactory
from tests.servers import HttpsReceiver


def put(delivery: Delivery, status: str, cause: str = "") -> None:
    """Bring a delivery, the head of its lane, into a state."""
    waits = status in Delivery.WAITING
    final = status not in Delivery.UNFINISHED
    Delivery.objects.filter(pk=delivery.pk).update(
        status=status, hold_cause=cause, due_at=timezone.now() if waits else None,
        settled_at=timezone.now() if final else None,
    )  # fmt: skip
    lane = Lane.objects.filter(pk=delivery.lane_id)
    if status == "held":
        lane.update(blocked_by=delivery, due_at=None)
    elif final:
        lane.update(next_sequence=2, due_at=None)


ALLOWED: list[Any] = [
    # state, cause, verb, what becomes of it, or what the refusal says
    ("pending", "", "hold", "held"),
    ("pending", "", "cancel", "cancelled"),
    ("pending", "", "skip", "skipped"),
    ("pending", "", "retry", "not tried yet"),
    ("pending", "", "release", "not held"),
    ("retrying", "", "retry", "retrying"),
    ("retrying", "", "hold", "held"),
    ("held", "exhausted", "retry", "pending"),
    ("held", "exhausted", "skip", "skipped"),
    ("held", "exhausted", "release", "retry it once its cause is mended"),
    ("held", "operator", "release", "pending"),
    ("held", "publisher", "release", "held by its publisher: who published it releases it"),
    ("held", "publisher", "retry", "held by its publisher: who published it releases it"),
    ("held", "publisher", "cancel", "cancelled"),
    ("held", "operator", "hold", "already held"),
    ("held", "operator", "cancel", "cancelled"),
    ("dead", "", "retry", "replay it"),
    ("delivered", "", "retry", "already delivered: replay it"),
    ("delivered", "", "cancel", "already delivered"),
    ("delivered", "", "hold", "already delivered"),
    ("cancelled", "", "release", "already cancelled"),
]


def test_a_verb_does_its_work_or_says_what_would(scene: Scene) -> None:
    api = scene.key("deliveries:operate")
    for number, (status, cause, verb, becomes) in enumerate(ALLOWED):
        case = (status, cause, verb)
        _, delivery = scene.fanned_out(account=f"{number}")  # a lane of its own
        put(delivery, status, cause)
        answer = api("post", f"deliveries/{delivery.public_id}/{verb}/", {"reason": "asked for"})
        entries = AuditEntry.objects.filter(subject=delivery.public_id)
        if becomes in Delivery.Status.values:
            assert (api.status, answer["status"]) == (200, becomes), case
            assert [(entry.action, entry.reason) for entry in entries] == [(f"delivery.{verb}", "asked for")]
            blocked = Lane.objects.get(pk=delivery.lane_id).blocked_by_id
            assert blocked == (delivery.pk if becomes == "held" else None), case
        else:
            assert (api.status, becomes in answer["detail"]) == (409, True), (case, answer)
            assert (answer["state"], answer["hold_cause"]) == (status, cause), case
            assert not entries.exists(), case


def test_what_its_publisher_holds_an_operator_lets_go(scene: Scene) -> None:
    api = scene.key("deliveries:operate", is_operator=True)
    for verb in ("retry", "release"):
        _, delivery = scene.fanned_out(account=verb)
        put(delivery, "held", "publisher")
        answer = api("post", f"deliveries/{delivery.public_id}/{verb}/", {}, status=200)
        assert (answer["status"], answer["hold_cause"]) == ("pending", "")


def test_a_held_delivery_holds_up_its_lane_until_it_is_released(
    scene: Scene, https_receiver: HttpsReceiver
) -> None:
    _, first = scene.fanned_out()
    scene.fanned_out(amount="2.00")
    api = scene.key("deliveries:operate")
    api("post", f"deliveries/{first.public_id}/hold/", {}, status=200)
    Engine(until_idle=True).run()
    assert https_receiver.received == []
    api("post", f"deliveries/{first.public_id}/release/", {}, status=200)
    Engine(until_idle=True).run()
    assert [request.headers["bellwether-sequence"] for request in https_receiver.received] == ["1", "2"]


def test_a_key_works_only_on_what_it_may_see(scene: Scene) -> None:
    other = WebhookSubscriptionFactory(queue=scene.queue, name="other")
    _, delivery = scene.fanned_out()
    path = f"deliveries/{delivery.public_id}/hold/"
    assert scene.key("deliveries:operate", subscriber=other.subscriber)("post", path, {}, status=404)
    assert "deliveries:operate" in scene.key("deliveries:read")("post", path, {}, status=403)["detail"]
    scene.key("deliveries:operate", subscriber=other.subscriber, is_operator=True)(
        "post", path, {}, status=200
    )
    scene.key("deliveries:operate")("post", path, {"why": "x"}, status=400)
    scene.key("deliveries:operate")("post", "deliveries/dlv_0/hold/", {}, status=404)


def test_a_stored_callout_is_told_without_its_secrets(scene: Scene, https_receiver: HttpsReceiver) -> None:
    Parameter.objects.create(
        subscription=scene.hooks,
        name="tenant",
        is_secret=True,
        secret="s3cret",
        source="static",
        placement="header",
    )
    _, delivery = scene.fanned_out()
    Engine(until_idle=True).run()
    assert https_receiver.received[0].headers["tenant"] == "s3cret"
    told = scene.key("deliveries:read")("get", f"deliveries/{delivery.public_id}/", status=200)
    assert told["rendered"]["headers"] == [["tenant", "****"]]
    assert "(secret" not in str(told)


def test_the_console_holds_and_releases_too(scene: Scene, admin_client: Client) -> None:
    _, delivery = scene.fanned_out()
    page = reverse("admin:notifications_delivery_change", args=[delivery.pk])
    for verb, status, offered in (("hold", "held", "Release"), ("release", "pending", "Hold")):
        form = {"action": verb, "_selected_action": [delivery.pk]}
        told = admin_client.post(reverse("admin:notifications_delivery_changelist"), form, follow=True).text
        assert "1 delivery " in told
        delivery.refresh_from_db()
        assert delivery.status == status
        assert f'value="{offered}"' in admin_client.get(page).text
