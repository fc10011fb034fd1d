"""Reading a queue by cursor: complete, in order, over late commits; acknowledging moves one cursor."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from events.models import InboxEntry, Subscriber
from events.publish import publish
from notifications.collect import CODE
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import Delivery, Digest, PullCursor
from tests.calls.conftest import Api, Scene
from tests.factories import EmailSubscriptionFactory, WebhookSubscriptionFactory
from tests.servers import HttpsReceiver
from tests.workers import until, working

PATH = "queues/billing/messages/"


@pytest.fixture
def reader(scene: Scene) -> Api:
    return scene.key("events:read")


def totals(page: Any) -> list[float]:
    return [message["body"]["data"]["invoice"]["total"] for message in page["messages"]]


def test_pages_are_read_in_order_and_acknowledging_moves_on(scene: Scene, reader: Api) -> None:
    for n in range(5):
        scene.publish(amount=f"{n}.50")
    fan_out()
    first = reader("get", f"{PATH}?limit=2", status=200)
    assert (totals(first), first["has_more"], first["acknowledged"]) == ([0.5, 1.5], True, "")
    # Reading acknowledges nothing.
    assert totals(reader("get", f"{PATH}?limit=2", status=200)) == [0.5, 1.5]
    second = reader("get", f"{PATH}?limit=2&after={first['cursor']}", status=200)
    assert totals(second) == [2.5, 3.5]
    done = reader("post", "queues/billing/ack/", {"cursor": second["messages"][0]["cursor"]}, status=200)
    rest = reader("get", PATH, status=200)
    assert (totals(rest), rest["has_more"]) == ([3.5, 4.5], False)
    assert rest["acknowledged"] == done["acknowledged"] == second["messages"][0]["cursor"]
    # Backwards it does not go, and what is acknowledged can be read again.
    assert reader("post", "queues/billing/ack/", {"cursor": first["cursor"]}, status=200) == done
    assert totals(reader("get", f"{PATH}?after=start", status=200)) == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}
    end = reader("get", f"{PATH}?after={rest['cursor']}", status=200)
    assert (end["messages"], end["cursor"]) == ([], rest["cursor"])


def test_a_message_is_the_callout_byte_for_byte(
    scene: Scene, reader: Api, https_receiver: HttpsReceiver
) -> None:
    event, delivery = scene.fanned_out(amount="19.90")
    Engine(until_idle=True).run()
    [message] = reader("get", PATH, status=200)["messages"]
    assert message["id"] == https_receiver.received[0].headers["webhook-id"] == delivery.public_id
    assert message["body"]["id"] == event
    assert (message["body"]["sequence"], message["body"]["queue"]) == (1, "billing")
    raw = reader._client.get(f"/api/v1/{PATH}").content
    assert delivery.event.data.encode() in raw


def test_a_reader_gets_its_own_callouts_only(scene: Scene, reader: Api) -> None:
    other: Any = WebhookSubscriptionFactory(queue=scene.queue, name="other")
    EmailSubscriptionFactory(queue=scene.queue, subscriber=scene.hooks.subscriber)
    scene.fanned_out()
    assert Delivery.objects.count() == 3
    assert len(reader("get", PATH, status=200)["messages"]) == 1
    [theirs] = scene.key("events:read", subscriber=other.subscriber)("get", PATH, status=200)["messages"]
    assert theirs["subscription"] == other.pk
    # An operator's key reads as its own subscriber too.
    assert (
        scene.key("events:read", subscriber=scene.publisher, is_operator=True)("get", PATH)["messages"] == []
    )


def test_what_was_cancelled_is_left_out_and_what_failed_is_not(scene: Scene, reader: Api) -> None:
    rows = [scene.fanned_out(amount=f"{n}.50")[1] for n in range(3)]
    for row, status in zip(rows, ("cancelled", "dead", "skipped"), strict=True):
        Delivery.objects.filter(pk=row.pk).update(status=status, due_at=None, settled_at=timezone.now())
    assert totals(reader("get", PATH, status=200)) == [1.5, 2.5]


def test_what_was_read_cannot_be_amended_any_more(scene: Scene, reader: Api) -> None:
    event, _ = scene.fanned_out()
    reader("get", PATH, status=200)
    problem = scene.api("patch", f"events/{event}/", '{"held": true}', status=409)
    assert problem["sent"][0]["state"] == "read from the queue"


def test_reading_stops_before_what_its_publisher_holds(scene: Scene, reader: Api) -> None:
    WebhookSubscriptionFactory(queue=scene.queue, name="second", endpoint=scene.hooks.endpoint)
    events = [scene.fanned_out(amount=f"{n}.50")[0] for n in range(3)]
    scene.api("patch", f"events/{events[1]}/", '{"held": true}', status=200)
    # In no subscription is anything shown that came later: the cursor would pass what is held.
    for limit in (1, 2, 3, 100):
        page = reader("get", f"{PATH}?limit={limit}", status=200)
        assert (totals(page), page["has_more"]) == ([0.5, 0.5][:limit], limit == 1), limit
    again = reader("get", f"{PATH}?after={page['cursor']}", status=200)
    assert (again["messages"], again["cursor"], again["has_more"]) == ([], page["cursor"], False)
    scene.api("patch", f"events/{events[1]}/", '{"held": false}', status=200)
    assert totals(reader("get", f"{PATH}?after={page['cursor']}", status=200)) == [1.5, 1.5, 2.5, 2.5]


def test_what_is_being_changed_is_read_as_it_is_afterwards(scene: Scene, reader: Api) -> None:
    """The reader waits for who holds the delivery to change its event, and then hands out nothing of it."""
    _, delivery = scene.fanned_out()
    pages: list[Any] = []

    def read() -> None:
        try:
            pages.append(reader("get", PATH, status=200))
        finally:
            connection.close()

    thread = threading.Thread(target=read)
    with transaction.atomic():
        Delivery.objects.select_for_update().get(pk=delivery.pk)
        thread.start()
        blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"

        def is_blocked() -> bool:
            with connection.cursor() as cursor:
                cursor.execute(blocked)
                return bool(cursor.fetchone()[0])

        assert until(is_blocked)
        Delivery.objects.filter(pk=delivery.pk).update(status="held", hold_cause="publisher", due_at=None)
    thread.join()
    assert totals(pages[0]) == []
    assert not PullCursor.objects.exists()


def test_a_digest_is_left_out_and_what_it_carries_is_not(
    scene: Scene, reader: Api, https_receiver: HttpsReceiver
) -> None:
    scene.hooks.storm_limit, scene.hooks.storm_minutes = 1, 30
    scene.hooks.save()
    for n in range(3):
        scene.publish(amount=f"{n}.50")
    Engine(until_idle=True).run()
    Digest.objects.update(due_at=Now() - timedelta(seconds=1))
    InboxEntry.objects.update(due_at=Now() - timedelta(seconds=1))
    Engine(until_idle=True).run()
    assert Delivery.objects.get(event__type__code=CODE).status == "delivered"
    page = reader("get", f"{PATH}?limit=3", status=200)
    assert (totals(page), page["has_more"]) == ([0.5, 1.5, 2.5], False)


def test_a_cursor_older_than_what_is_kept_is_told_so(scene: Scene, reader: Api) -> None:
    for n in range(3):
        scene.publish(amount=f"{n}.50")
    fan_out()
    first = reader("get", f"{PATH}?limit=1", status=200)
    reader("post", "queues/billing/ack/", {"cursor": first["cursor"]}, status=200)
    oldest = Delivery.objects.order_by("pk")[:1].get()
    oldest.delete()
    problem = reader("get", PATH, status=410)
    assert "after=start" in problem["detail"]
    assert totals(reader("get", f"{PATH}?after=start", status=200)) == [1.5, 2.5]


def test_wrong_questions_name_their_member(scene: Scene, reader: Api) -> None:
    for query, field in (
        ("after=x", "/after"), ("after=1", "/after"), ("after=1-²", "/after"), ("limit=0", "/limit"),
        ("limit=501", "/limit"), ("offset=1", "/offset"), (f"after={'9' * 19}-1", "/after"),
    ):  # fmt: skip
        [fault] = reader("get", f"{PATH}?{query}", status=400)["errors"]
        assert fault["field"] == field, query
    reader("get", "queues/nothing/messages/", status=404)
    reader("post", "queues/billing/ack/", {}, status=400)
    reader("post", "queues/billing/ack/", {"cursor": "99999-1"}, status=409)
    assert not PullCursor.objects.exists()


def test_a_cursor_never_skips_what_commits_late(
    scene: Scene, reader: Api, https_receiver: HttpsReceiver
) -> None:
    """Writers commit in another order than they began, while workers fan out and a reader follows its cursor."""
    writers, each = 4, 15
    publisher = Subscriber.objects.get(pk=scene.publisher.pk)

    def write(number: int) -> None:
        try:
            for at in range(each):
                with transaction.atomic():
                    publish(
                        "invoice.posted",
                        {"account": {"id": str(number)}, "invoice": {"total": number * 1000 + at}},
                        publisher=publisher,
                    )
                    with connection.cursor() as cursor:
                        # The ones that began first commit last.
                        cursor.execute("SELECT pg_sleep(%s)", [0.002 * ((number + at) % writers)])
        finally:
            connection.close()

    seen: list[float] = []
    after = "start"
    with working(2):
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for _ in range(2000):
            page = reader("get", f"{PATH}?limit=7&after={after}", status=200)
            seen += totals(page)
            after = page["cursor"] or "start"
            if len(seen) == writers * each:
                break
        for thread in threads:
            thread.join()
    assert sorted(seen) == sorted(number * 1000 + at for number in range(writers) for at in range(each))
    for number in range(writers):
        own = [total for total in seen if total // 1000 == number]
        assert own == sorted(own)
