"""The sequencer: the order of commits is the order of lanes, whoever runs it and however many do."""

import random
import threading
import time
from uuid import RFC_4122, UUID

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from events import ids
from events.models import Event, InboxEntry
from events.prepared import array
from events.publish import Draft, publish, publish_many
from notifications.fan_out import MANY, fan_out
from notifications.models import Delivery, Lane
from notifications.waiting import CHANNEL, DELIVERIES
from tests.factories import WebhookSubscriptionFactory

pytestmark = pytest.mark.django_db(transaction=True)


class UndoError(Exception):
    pass


def test_late_commits_and_rollbacks_keep_commit_order_with_three_sequencers(catalog):
    """Each writer notes when its transaction had committed and when it began to publish."""
    WebhookSubscriptionFactory()
    committed, lock, done = {}, threading.Lock(), threading.Event()

    def write(seed):
        source = random.Random(seed)
        for _ in range(40):
            began = time.monotonic()
            try:
                with transaction.atomic():
                    event = publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}}).event
                    time.sleep(source.random() * 0.02)
                    if source.random() < 0.2:
                        raise UndoError
            except UndoError:
                continue
            with lock:
                committed[event.pk] = (began, time.monotonic())
        connection.close()

    def sequence():
        while not done.is_set():
            fan_out(limit=7)
        connection.close()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    sequencers = [threading.Thread(target=sequence) for _ in range(3)]
    for thread in writers + sequencers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in sequencers:
        thread.join()
    while fan_out():
        pass

    placed = dict(Delivery.objects.values_list("event_id", "sequence"))
    assert placed.keys() == committed.keys(), "what committed is there, what was rolled back is not"
    assert sorted(placed.values()) == list(range(1, len(placed) + 1)), "no gap and no double"
    violations = [
        (first, second)
        for first, (_, ended) in committed.items()
        for second, (began, _) in committed.items()
        if ended < began and placed[first] > placed[second]
    ]
    assert violations == []
    assert not InboxEntry.objects.exists()
    assert Lane.objects.get().tail == len(placed)


def test_fanning_out_takes_as_many_statements_for_300_events_as_for_3(catalog):
    WebhookSubscriptionFactory()
    counts = []
    for size in (3, 300):
        for number in range(size):
            publish("invoice.posted", {"account": {"id": str(number % 9)}, "invoice": {"id": "1"}})
        with CaptureQueriesContext(connection) as queries:
            assert fan_out() == size
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 20, counts


def test_an_event_goes_only_into_the_queue_it_names(catalog):
    wanted, other = WebhookSubscriptionFactory(), WebhookSubscriptionFactory()
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}}, queue=wanted.queue.name)

    fan_out()

    assert [d.subscription for d in Delivery.objects.all()] == [wanted]
    assert other.deliveries.count() == 0


def test_nothing_subscribed_leaves_the_event_and_no_delivery(catalog):
    publish("invoice.posted", {"account": {"id": "1"}, "invoice": {"id": "1"}})
    assert fan_out() == 1
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["a", None, "NULL", "null"],
        ['a"b', "a\\b", '\\"', "{a,b}", "a,b", " a ", "ë€\n\t'%s", "x" * 9000],
    ],
)
def test_texts_reach_the_database_as_they_are(db, texts):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[], %s::bigint[]", [array(texts), array([1, None, -(2**62)])])
        assert cursor.fetchone() == (texts, [1, None, -(2**62)])


def test_ids_made_together_are_version_7_and_all_different():
    before = ids.uuid7().int >> 80
    made = [UUID(hex=text) for text in ids.uuid7s(5000)]
    after = ids.uuid7().int >> 80
    assert len(set(made)) == 5000
    assert {uid.version for uid in made} == {7}
    assert {uid.variant for uid in made} == {RFC_4122}
    assert all(before <= uid.int >> 80 <= after for uid in made)
    assert {text[16] for text in ids.uuid7s(500)} == set("89ab")


@pytest.mark.parametrize(("count", "heard"), [(MANY - 1, []), (MANY, [DELIVERIES])])
def test_other_workers_hear_of_many_new_deliveries_and_only_once_they_are_committed(catalog, count, heard):
    WebhookSubscriptionFactory()
    sample = catalog["invoice.posted"].sample
    publish_many([Draft(type="invoice.posted", data=sample) for _ in range(count)])
    parameters = connection.get_connection_params() | {"cursor_factory": None}
    with psycopg.connect(**parameters, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        with transaction.atomic():
            assert fan_out() == count
            assert list(other.notifies(timeout=0.1)) == []
        assert [notice.payload for notice in other.notifies(timeout=0.5)] == heard
