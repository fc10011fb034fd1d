"""What deliveries refer to: checked for whole statements by triggers, and as sure as a foreign key."""

import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from events.models import Event, QuarantinedEvent
from events.publish import publish
from notifications import plans
from notifications.fan_out import fan_out
from notifications.match import Plan
from notifications.models import Channel, Delivery, Lane, Subscription
from tests.factories import QueueFactory, WebhookSubscriptionFactory
from tests.workers import until

pytestmark = pytest.mark.django_db(transaction=True)
PARENTS = {"event_id": Event, "subscription_id": Subscription, "channel_id": Channel, "lane_id": Lane}


@pytest.fixture
def delivery(catalog) -> Delivery:
    WebhookSubscriptionFactory(queue=QueueFactory(is_ordered=True))
    publish("invoice.posted", catalog["invoice.posted"].sample)
    fan_out()
    return Delivery.objects.get()


def sql(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.mark.parametrize("column", PARENTS)
def test_a_delivery_of_what_does_not_exist_cannot_be_written(delivery: Delivery, column: str) -> None:
    fields = {
        name: getattr(delivery, name) for name in ("event_id", "subscription_id", "channel_id", "lane_id")
    }
    wrong = Delivery(
        **fields | {column: 10**12}, recipient="b@example.com", sequence=7, due_at=delivery.due_at
    )
    with pytest.raises(IntegrityError, match=f"row of {PARENTS[column]._meta.db_table} that does not exist"):
        wrong.save()
    # Nor beside others that are right.
    right = Delivery(**fields, recipient="c@example.com", sequence=8, due_at=delivery.due_at)
    wrong.pk = None
    with pytest.raises(IntegrityError):
        Delivery.objects.bulk_create([right, wrong])
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("column", PARENTS)
def test_a_delivery_cannot_be_moved_to_what_does_not_exist(delivery: Delivery, column: str) -> None:
    with pytest.raises(IntegrityError, match="does not exist"):
        Delivery.objects.update(**{column: 10**12})
    assert getattr(Delivery.objects.get(), column) == getattr(delivery, column)


@pytest.mark.parametrize("column", PARENTS)
def test_what_a_delivery_refers_to_cannot_be_deleted(delivery: Delivery, column: str) -> None:
    table = PARENTS[column]._meta.db_table
    with pytest.raises(IntegrityError, match=r"refer|violates foreign key"):
        sql(f"DELETE FROM {table} WHERE id = %s", getattr(delivery, column))
    assert PARENTS[column]._default_manager.filter(pk=getattr(delivery, column)).exists()


def test_both_can_be_deleted_together_in_either_order(delivery: Delivery) -> None:
    with transaction.atomic():
        sql("DELETE FROM notifications_lane")
        sql("DELETE FROM notifications_delivery")
    assert not Lane.objects.exists()


def waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def beside(work: Callable[[], object]) -> tuple[threading.Thread, list[Exception]]:
    faults: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as fault:
            faults.append(fault)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, faults


def another(delivery: Delivery, parent: Model) -> Delivery:
    return Delivery(
        event_id=delivery.event_id,
        subscription_id=parent.pk,
        channel_id=delivery.channel_id,
        due_at=delivery.due_at,
    )


def test_who_deletes_sees_what_is_written_meanwhile(delivery: Delivery) -> None:
    WebhookSubscriptionFactory()
    parent = Subscription.objects.latest("pk")
    with transaction.atomic():
        another(delivery, parent).save()
        thread, faults = beside(
            lambda: sql("DELETE FROM notifications_subscription WHERE id = %s", parent.pk)
        )
        assert until(waits)
    thread.join(30)
    assert [type(fault) for fault in faults] == [IntegrityError]


def test_who_writes_sees_what_is_deleted_meanwhile(delivery: Delivery) -> None:
    WebhookSubscriptionFactory()
    parent = Subscription.objects.latest("pk")
    with transaction.atomic():
        sql("DELETE FROM notifications_subscription_event_types WHERE subscription_id = %s", parent.pk)
        sql("DELETE FROM notifications_subscription WHERE id = %s", parent.pk)
        thread, faults = beside(another(delivery, parent).save)
        assert until(waits)
    thread.join(30)
    assert [type(fault) for fault in faults] == [IntegrityError]
    assert not Delivery.objects.filter(subscription_id=parent.pk).exists()


def test_events_of_a_subscription_that_is_deleted_while_they_are_fanned_out_go_to_the_others(
    catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = QueueFactory()
    for _ in range(2):
        WebhookSubscriptionFactory(queue=queue)
    gone, other = Subscription.objects.order_by("pk").values_list("pk", flat=True)
    for _ in range(3):
        publish("invoice.posted", catalog["invoice.posted"].sample)
    load = plans.load

    def then_delete(queue_ids: set[int]) -> list[Plan]:
        found = load(queue_ids)
        thread, faults = beside(lambda: Subscription.objects.filter(pk=gone).delete())
        thread.join(30)
        assert not faults
        return found

    monkeypatch.setattr(plans, "load", then_delete)
    assert fan_out() == 3
    assert set(Delivery.objects.values_list("subscription_id", flat=True)) == {other}
    assert Delivery.objects.count() == 3
    assert not QuarantinedEvent.objects.exists()
