"""Replays: what is sent again, beside live traffic, in order, marked, once."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from events.models import Queue
from notifications import operate
from notifications import replay as replays
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import AuditEntry, Delivery, Lane, OptOut, RenderedBody, Replay, Suppression
from notifications.withdraw import System
from tests.calls.conftest import Scene
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory, WebhookSubscriptionFactory
from tests.servers import HttpsReceiver

API = "deliveries:operate", "deliveries:read"


def drain() -> None:
    Engine(until_idle=True).run()


def headers(receiver: HttpsReceiver, name: str) -> list[str | None]:
    return [request.headers.get(name) for request in receiver.received]


def delivered(scene: Scene, count: int) -> list[Delivery]:
    """So many deliveries in one lane that have arrived."""
    for n in range(count):
        scene.publish(amount=f"{n}.00")
    drain()
    return list(Delivery.objects.order_by("pk"))


def test_a_replay_sends_the_same_bytes_in_order_and_says_that_it_is_one(
    scene: Scene, https_receiver: HttpsReceiver
) -> None:
    rows = delivered(scene, 3)
    first = list(https_receiver.received)
    https_receiver.received.clear()
    answer = scene.key(*API)(
        "post", "replays/", {"subscription": scene.hooks.pk, "reason": "lost"}, status=201
    )
    assert (answer["status"], answer["total"], answer["reopened"]) == ("done", 3, 3)
    drain()
    assert [request.body for request in https_receiver.received] == [request.body for request in first]
    assert headers(https_receiver, "webhook-id") == [row.public_id for row in rows]
    assert headers(https_receiver, "bellwether-sequence") == ["1", "2", "3"]
    assert headers(https_receiver, "bellwether-replay") == [str(answer["id"])] * 3
    assert headers(https_receiver, "bellwether-skipped") == [None] * 3
    assert headers(https_receiver, "bellwether-previous") == [None] * 3
    assert [request.headers.get("bellwether-replay") for request in first] == [None] * 3
    again = scene.key(*API)("get", f"replays/{answer['id']}/", status=200)
    assert again["progress"] == {"delivered": 3}
    assert AuditEntry.objects.get(action="replay.order").reason == "lost"


def test_live_traffic_goes_on_and_knows_what_came_before_it(
    scene: Scene, https_receiver: HttpsReceiver
) -> None:
    rows = delivered(scene, 2)
    https_receiver.received.clear()
    scene.key(*API)("post", "replays/", {"ids": [rows[1].public_id]}, status=201)
    # It fails for good, and blocks the replay's lane; the live one is not behind it.
    Delivery.objects.filter(pk=rows[1].pk).update(status="held", hold_cause="exhausted", due_at=None)
    scene.publish(amount="9.00")
    drain()
    [live] = https_receiver.received
    assert live.headers["bellwether-sequence"] == "3"
    assert live.headers["bellwether-previous"] == rows[1].public_id
    assert "bellwether-skipped" not in live.headers


def test_a_replay_of_an_out_of_order_queue_is_marked_too(scene: Scene, https_receiver: HttpsReceiver) -> None:
    Queue.objects.update(is_ordered=False)
    delivered(scene, 2)
    https_receiver.received.clear()
    replay = scene.key(*API)("post", "replays/", {"endpoint": scene.hooks.endpoint_id}, status=201)
    drain()
    assert headers(https_receiver, "bellwether-replay") == [str(replay["id"])] * 2
    assert headers(https_receiver, "bellwether-lane") == [None] * 2


def test_it_goes_in_batches_and_may_be_interrupted(
    scene: Scene, https_receiver: HttpsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(scene, 5)
    https_receiver.received.clear()
    monkeypatch.setattr(replays, "BATCH", 2)
    answer = scene.key(*API)("post", "replays/", {"subscription": scene.hooks.pk}, status=201)
    assert (answer["status"], answer["total"], answer["reopened"]) == ("running", 5, 2)
    drain()
    assert replays.carry_on_all() == 3
    drain()
    assert headers(https_receiver, "bellwether-sequence") == ["1", "2", "3", "4", "5"]
    row = Replay.objects.get()
    assert (row.status, row.reopened, row.left_alone) == ("done", 5, 0)
    assert Lane.objects.filter(home__isnull=False).count() == 1


def test_a_second_replay_gets_a_lane_beside_the_first_home(
    scene: Scene, https_receiver: HttpsReceiver
) -> None:
    delivered(scene, 2)
    for _ in range(2):
        scene.key(*API)("post", "replays/", {"subscription": scene.hooks.pk}, status=201)
        drain()
    home = Lane.objects.get(home=None)
    assert list(Lane.objects.filter(home=home).values_list("next_sequence", "tail")) == [(3, 2), (3, 2)]
    assert len(https_receiver.received) == 6


def test_what_was_never_rendered_is_rendered_now(scene: Scene, https_receiver: HttpsReceiver) -> None:
    [row] = delivered(scene, 1)
    RenderedBody.objects.all().delete()
    https_receiver.received.clear()
    scene.key(*API)("post", "replays/", {"ids": [row.public_id]}, status=201)
    drain()
    assert json.loads(https_receiver.received[0].body)["sequence"] == 1


def test_who_is_suppressed_or_has_opted_out_is_mailed_by_no_replay_and_no_retry(scene: Scene) -> None:
    SmtpProfileFactory()
    Queue.objects.update(is_ordered=False)
    mails = [
        EmailSubscriptionFactory(queue=scene.queue, address=f"{who}@Example.com", allows_opt_out=True)
        for who in ("Bounced", "Left", "Reader")
    ]
    scene.publish()
    fan_out()
    own = Delivery.objects.filter(subscription__in=mails)
    own.update(status="dead", due_at=None, settled_at=timezone.now())
    Suppression.objects.create(address="bounced@example.com", reason="bounced")
    OptOut.objects.create(subscription=mails[1], address="left@example.com")

    ids = list(own.values_list("pk", flat=True))
    selection = replays.Selection(ids=list(own.values_list("uid", flat=True)))
    replay = replays.order(selection, System())
    assert (replay.status, replay.total, replay.reopened, replay.left_alone) == ("done", 3, 1, 2)
    assert [row.recipient for row in own.filter(status="pending")] == ["Reader@Example.com"]

    report = operate.retry(ids, System())
    assert report.done == 0
    told = sorted(report.refused)
    assert [text.split(" on ")[0] for text in told] == [
        "not tried yet: it is sent when its turn comes",
        "the address bounced",
        "the recipient has opted out of this subscription",
    ]


def test_a_dry_run_counts_and_sends_nothing(scene: Scene) -> None:
    for status in ("delivered", "dead", "skipped", "cancelled", "pending"):
        _, row = scene.fanned_out()
        if status != "pending":
            Delivery.objects.filter(pk=row.pk).update(status=status, due_at=None, settled_at=timezone.now())
    api = scene.key(*API)
    answer = api("post", "replays/?dry_run=1", {"subscription": scene.hooks.pk}, status=200)
    assert answer == {
        "total": 3,
        "by_status": {"dead": 1, "delivered": 1, "skipped": 1},
        "left_alone": {"cancelled": 1, "pending": 1},
    }
    narrow = {"subscription": scene.hooks.pk, "statuses": ["dead"]}
    assert api("post", "replays/?dry_run=1", narrow, status=200)["total"] == 1
    assert not Replay.objects.exists()


def test_the_window_and_the_filters_select(scene: Scene, https_receiver: HttpsReceiver) -> None:
    rows = delivered(scene, 4)
    start = timezone.now() - timedelta(days=2)
    for at, row in enumerate(rows):
        Delivery.objects.filter(pk=row.pk).update(created_at=start + timedelta(hours=at))
    api = scene.key(*API)
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 4),
        ({"created_after": (start + timedelta(hours=1)).isoformat()}, 3),
        ({"created_before": (start + timedelta(hours=1)).isoformat()}, 1),
        ({"created_after": (start + timedelta(hours=1)).isoformat(),
          "created_before": (start + timedelta(hours=3)).isoformat()}, 2),
        ({"ordering_key": "account:1001"}, 4),
        ({"ordering_key": "account:7"}, 0),
        ({"event_type": "invoice.posted"}, 4),
        ({"event_type": "refund.processed"}, 0),
    ]  # fmt: skip
    for more, total in cases:
        answer = api("post", "replays/?dry_run=1", {"subscription": scene.hooks.pk} | more, status=200)
        assert answer["total"] == total, more


def test_a_wrong_order_names_its_member(scene: Scene) -> None:
    other: Any = WebhookSubscriptionFactory(queue=scene.queue, name="other")
    cases: list[tuple[Any, str]] = [
        ({}, "/subscription"),
        ({"ids": []}, "/ids"),
        ({"ids": ["dlv_x"]}, "/ids"),
        ({"ids": ["dlv_x"], "endpoint": scene.hooks.endpoint_id}, "/endpoint"),
        ({"subscription": other.pk}, "/subscription"),
        ({"endpoint": other.endpoint_id}, "/endpoint"),
        ({"subscription": scene.hooks.pk, "statuses": ["cancelled"]}, "/statuses/0"),
        ({"subscription": scene.hooks.pk, "created_after": "x"}, "/created_after"),
        ({"subscription": scene.hooks.pk, "since": 1}, "/since"),
        ({"subscription": scene.hooks.pk, "created_after": "0001-01-01T00:00:00Z"}, "/created_after"),
        ({"subscription": scene.hooks.pk, "created_before": "9999-12-31T23:59:00Z"}, "/created_before"),
        ({"subscription": 10**30}, "/subscription"),
        ({"subscription": scene.hooks.pk, "ordering_key": "a\0"}, "/ordering_key"),
    ]
    api = scene.key(*API)
    for body, field in cases:
        problem = api("post", "replays/", body, status=400)
        assert [error["field"] for error in problem["errors"]] == [field], body
    assert scene.key("deliveries:read")("post", "replays/", {"subscription": scene.hooks.pk}, status=403)


def test_the_command_counts_then_replays(scene: Scene, https_receiver: HttpsReceiver) -> None:
    rows = delivered(scene, 3)
    https_receiver.received.clear()
    out = StringIO()
    call_command("replay", "--subscription", str(scene.hooks.pk), "--dry-run", stdout=out)
    assert out.getvalue() == "3 to send again (3 delivered).\n"
    call_command("replay", rows[1].public_id, "--reason", "asked", stdout=out)
    assert "1 of 1 reopened" in out.getvalue()
    drain()
    assert headers(https_receiver, "webhook-id") == [rows[1].public_id]
    assert AuditEntry.objects.get(action="replay.order").actor_name == "Bellwether"
    for wrong in ([], ["dlv_x"], ["--subscription", "9999"], [rows[0].public_id, "--endpoint", "1"]):
        with pytest.raises(CommandError):
            call_command("replay", *wrong, stdout=out)
