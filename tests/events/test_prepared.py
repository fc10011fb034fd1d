"""Prepared statements of publishing: one plan whatever the values, and errors as of any other statement."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from django.db import DataError, IntegrityError, InternalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from events import prepared
from events.models import Event, EventType, InboxEntry, Queue, Subscriber
from events.publish import Draft, publish, publish_many

MOMENT = datetime(2090, 7, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
EVERYTHING: list[dict[str, Any]] = [
    {},
    {"queue": "loose"},
    {"account": "ë 'quoted' \\ %s", "ordering_key": "k:%(uid)s"},
    {"occurred_at": MOMENT, "deliver_at": MOMENT},
    {"source": Event.Source.SCHEDULE},
]


@pytest.fixture
def thing(transactional_db: None) -> Iterator[EventType]:
    made = EventType.objects.create(
        code="thing.happened",
        label="Thing happened",
        resource="thing",
        operation="create",
        category="things",
        ordering_prefix="account",
        ordering_path="account.id",
        schema={"type": "object"},
    )
    Queue.objects.create(name="loose", is_ordered=False).event_types.add(made)
    # So that only the statements of this test are prepared.
    connection.close()
    yield made
    connection.close()


@transaction.atomic
def publish_in_vain(key: str = "") -> None:
    publish("thing.happened", "{}", idempotency_key=key)
    raise ZeroDivisionError


def plans() -> dict[str, int]:
    """How often each prepared statement of this connection has run."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements")
        return dict(cursor.fetchall())


@pytest.mark.parametrize("key", ["", "key"])
def test_one_plan_serves_one_event_whatever_is_in_it(thing: EventType, key: str) -> None:
    small = Subscriber.objects.create(name="small")
    large = Subscriber.objects.create(name="large", id=2**40)

    for number, (publisher, fields) in enumerate(product([None, small, large], EVERYTHING)):
        again = f"{key}{number}" if key else ""
        publish("thing.happened", "{}", publisher=publisher, idempotency_key=again, **fields)

    assert list(plans().values()) == [15]


def test_one_plan_serves_batches_of_every_size(thing: EventType) -> None:
    for size in range(2, 12):
        publish_many([Draft(type="thing.happened", data="{}") for _ in range(size)])

    assert list(plans().values()) == [10]


@pytest.mark.parametrize("key", ["", "key"])
@pytest.mark.parametrize("fields", EVERYTHING)
@pytest.mark.parametrize("beside", [0, 1])
def test_the_returned_event_is_the_row(
    thing: EventType, fields: dict[str, Any], key: str, beside: int
) -> None:
    given = {"type": "thing.happened", "data": '{"n":"%s %(uid)s"}', "idempotency_key": key} | fields
    drafts = [Draft(**given), *[Draft(type="thing.happened", data="{}")] * beside]
    subscriber = Subscriber.objects.create(name="one")

    event = publish_many(drafts, publisher=subscriber)[0].event

    stored = Event.objects.get(pk=event.pk)
    for field in Event._meta.concrete_fields:
        assert getattr(event, field.attname) == getattr(stored, field.attname), field.name
    assert event.occurred_at.utcoffset() == stored.occurred_at.utcoffset() == timedelta()
    assert event.occurred_at == fields.get("occurred_at", event.created_at)
    assert InboxEntry.objects.get(event=event).due_at == fields.get("deliver_at")
    assert not event._state.adding


def test_a_rolled_back_savepoint_takes_its_event_and_leaves_the_rest(thing: EventType) -> None:
    with transaction.atomic():
        first = publish("thing.happened", "{}", idempotency_key="a").event
        with pytest.raises(ZeroDivisionError):
            publish_in_vain("b")
        with pytest.raises(IntegrityError), transaction.atomic():
            prepared.run(
                "INSERT INTO events_inboxentry (event_id) VALUES (%s::bigint) RETURNING 1", [str(first.pk)]
            )
        again = publish("thing.happened", "{}", idempotency_key="b")

    assert again.created
    assert list(Event.objects.order_by("id").values_list("uid", flat=True)) == [first.uid, again.event.uid]


def test_a_failed_statement_spoils_the_transaction_as_any_other_does(thing: EventType) -> None:
    with transaction.atomic():
        publish("thing.happened", "{}")
        with pytest.raises(DataError):
            prepared.run("SELECT 1 / %s::int", ["0"])
        with pytest.raises(InternalError, match="aborted"):
            publish("thing.happened", "{}")
        # What publish() has met is beyond repair even for a caller that swallows it.
        with pytest.raises(TransactionManagementError):
            Event.objects.count()

    assert not Event.objects.exists()
    assert publish("thing.happened", "{}").created


def test_publishing_goes_on_after_rollbacks_and_a_new_connection(thing: EventType) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            publish_in_vain()
        publish("thing.happened", "{}")
        connection.close()

    assert Event.objects.count() == 3


def test_statements_of_others_are_not_prepared(thing: EventType) -> None:
    publish("thing.happened", "{}")
    for _ in range(10):
        Event.objects.filter(data="{}").count()

    assert len(plans()) == 1
    assert connection.connection.prepare_threshold is None


def test_a_prepared_statement_is_in_the_log_of_queries(thing: EventType) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert prepared.run("SELECT %s::text", ["it's"]) == [("it's",)]

    assert [query["sql"] for query in queries] == ["SELECT $1::text"]


def test_a_time_returned_is_in_utc(thing: EventType) -> None:
    assert publish("thing.happened", "{}", occurred_at=MOMENT).event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 23, 14, 28, 12, 436700, tzinfo=UTC),
        datetime(2026, 11, 23, tzinfo=UTC),
        datetime(99, 2, 1, 0, 0, 0, 1, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
@pytest.mark.django_db
def test_a_time_is_read_whatever_the_zone_of_the_session(moment, zone):
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])

    [(found,)] = prepared.run("SELECT %s::timestamptz", [moment.isoformat()])

    assert (found, found.microsecond) == (moment, moment.microsecond)
    assert zone != "UTC" or found.tzinfo is UTC


@pytest.mark.django_db
def test_a_time_that_python_has_not_is_the_drivers_error():
    with pytest.raises(DataError):
        prepared.run("SELECT %s::timestamptz", ["infinity"])
