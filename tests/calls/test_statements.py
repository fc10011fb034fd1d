"""The account of a day, and sending again what a receiver misses."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from notifications.engine import Engine
from notifications.models import Delivery
from tests.calls.conftest import Scene
from tests.factories import WebhookSubscriptionFactory
from tests.servers import HttpsReceiver

STATUSES = ["delivered", "dead", "held", "pending", "skipped", "cancelled", "suppressed", "digested"]


def day(scene: Scene) -> str:
    """Put one delivery of each status on one day, and one on the day before; return the day."""
    noon = timezone.now().replace(hour=12) - timedelta(days=3)
    for at, status in enumerate([*STATUSES, "delivered"]):
        _, row = scene.fanned_out(amount=f"{at}.00")
        made = noon if at < len(STATUSES) else noon + timedelta(days=1)
        final = status not in Delivery.UNFINISHED
        Delivery.objects.filter(pk=row.pk).update(
            status=status, created_at=made, settled_at=made if final else None,
            due_at=made if status == "pending" else None, hold_cause="operator" if status == "held" else "",
            attempt_count=1 if status == "dead" else 0,
        )  # fmt: skip
    return noon.date().isoformat()


def test_each_subscription_has_a_line_that_adds_up(scene: Scene) -> None:
    date = day(scene)
    api = scene.key("deliveries:read")
    answer = api("get", f"statements/{date}/", status=200)
    assert answer == {
        "date": date,
        "subscriptions": [
            {
                "subscription": scene.hooks.pk, "name": "hooks", "subscriber": scene.hooks.subscriber_id,
                "queue": "billing", "made": 8, "sent": 2, "accepted": 1, "waiting": 1, "held": 1, "dead": 1,
                "skipped": 1, "cancelled": 1, "suppressed": 1, "digested": 1, "keys": 1, "first_sequence": 1,
                "last_sequence": 8,
            }
        ],
    }  # fmt: skip
    assert api("get", "statements/2020-01-01/", status=200)["subscriptions"] == []


def test_the_ids_come_in_pages(scene: Scene) -> None:
    date = day(scene)
    api = scene.key("deliveries:read")
    path, found, after = f"statements/{date}/?subscription={scene.hooks.pk}&limit=4", [], ""
    while True:
        page = api("get", f"{path}&after={after}" if after else path, status=200)
        found += [(row["sequence"], row["status"], row["ordering_key"]) for row in page["deliveries"]]
        after = page["next"]
        if after is None:
            break
    assert found == [(at + 1, status, "account:1001") for at, status in enumerate(STATUSES)]
    assert api("get", f"{path}&ordering_key=account:2", status=200)["deliveries"] == []


def test_a_key_sees_its_own_lines_only(scene: Scene) -> None:
    other = WebhookSubscriptionFactory(queue=scene.queue, name="other")
    scene.fanned_out()
    date = timezone.now().date().isoformat()
    for api, names in (
        (scene.key("deliveries:read"), ["hooks"]),
        (scene.key("deliveries:read", subscriber=other.subscriber), ["other"]),
        (scene.key("deliveries:read", is_operator=True), ["hooks", "other"]),
    ):
        assert [
            line["name"] for line in api("get", f"statements/{date}/", status=200)["subscriptions"]
        ] == names


def test_wrong_questions_name_their_member(scene: Scene) -> None:
    api = scene.key("deliveries:read", "deliveries:operate")
    hooks = scene.hooks.pk
    for path, field in (
        ("yesterday", "/date"), ("0001-01-01", "/date"), ("2026-11-22/?limit=0", "/limit"),
        ("2026-11-22/?subscription=x", "/subscription"), ("2026-11-22/?date=2026-11-21", "/date"),
        ("2026-11-22/?since=1", "/since"), (f"2026-11-22/?subscription={hooks}&after=dlv_x", "/after"),
    ):  # fmt: skip
        slash = "" if "/" in path else "/"
        [fault] = api("get", f"statements/{path}{slash}", status=400)["errors"]
        assert fault["field"] == field, path
    cases: list[tuple[Any, str]] = [
        ({}, "/subscription"),
        ({"subscription": hooks}, "/ordering_key"),
        ({"subscription": hooks, "ordering_key": "account:1001"}, "/last_sequence"),
        ({"ids": ["dlv_x"]}, "/ids"),
        ({"ids": ["dlv_x"], "last_sequence": 1}, "/last_sequence"),
        ({"endpoint": 1}, "/endpoint"),
        ({"subscription": hooks, "ordering_key": "a", "last_sequence": 2**63}, "/last_sequence"),
    ]
    for body, field in cases:
        [fault] = api("post", "statements/resend-missing/", body, status=400)["errors"]
        assert fault["field"] == field, body


def test_what_came_after_the_last_number_seen_is_sent_again(
    scene: Scene, https_receiver: HttpsReceiver
) -> None:
    for account in ("1001", "2002"):
        for n in range(4):
            scene.publish(amount=f"{n}.00", account=account)
    Engine(until_idle=True).run()
    https_receiver.received.clear()
    api = scene.key("deliveries:operate")
    body = {"subscription": scene.hooks.pk, "ordering_key": "account:1001", "last_sequence": 2}
    assert api("post", "statements/resend-missing/?dry_run=1", body, status=200)["total"] == 2
    assert api("post", "statements/resend-missing/", body, status=201)["reopened"] == 2
    Engine(until_idle=True).run()
    sent = [(r.headers["bellwether-lane"].partition(":")[2], r.headers["bellwether-sequence"])
            for r in https_receiver.received]  # fmt: skip
    assert sent == [("account:1001", "3"), ("account:1001", "4")]
    ids = [r.headers["webhook-id"] for r in https_receiver.received][:1]
    assert api("post", "statements/resend-missing/", {"ids": ids}, status=201)["reopened"] == 1
