"""Publishing: in the caller's transaction, once per key, byte for byte, in one statement."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from events import catalog_cache
from events.canonical import canonical
from events.models import Event, EventType, IdempotencyKey, InboxEntry, Queue, Subscriber
from events.payload import MAX_BYTES, parse
from events.publish import Draft, Published, publish, publish_each, publish_many
from events.refusals import (
    BatchRefused,
    IdempotencyConflict,
    InactiveEventType,
    InvalidField,
    InvalidPayload,
    NoOrderingKey,
    NotRouted,
    PayloadTooLarge,
    UnknownEventType,
    UnknownQueue,
)
from events.signals import event_published

EXACT = '{"amount":19.90,"z":1, "a":"ë€","n":12345678901234567890,"account":{"id":"1001"}}'
SCHEMA = {
    "type": "object",
    "properties": {
        "account": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        "amount": {"type": "number", "minimum": 0},
    },
}
COUNTED = (Event, InboxEntry, IdempotencyKey)


def counts() -> list[int]:
    return [model.objects.count() for model in COUNTED]


def make_catalog() -> EventType:
    event_type = EventType.objects.create(
        code="thing.happened",
        label="Thing happened",
        resource="thing",
        operation="create",
        category="things",
        ordering_prefix="account",
        ordering_path="account.id",
        schema=SCHEMA,
    )
    for name, is_ordered in (("orderly", True), ("loose", False), ("empty", True)):
        queue = Queue.objects.create(name=name, is_ordered=is_ordered)
        if name != "empty":
            queue.event_types.add(event_type)
    return event_type


@pytest.fixture
def thing(db: None) -> EventType:
    return make_catalog()


@pytest.fixture
def committed_thing(transactional_db: None) -> EventType:
    return make_catalog()


@pytest.fixture
def woken() -> Iterator[list[int]]:
    heard: list[int] = []

    def hear(count: int, **_: Any) -> None:
        heard.append(count)

    event_published.connect(hear)
    yield heard
    event_published.disconnect(hear)


class TestTransaction:
    def test_a_rollback_of_the_caller_leaves_nothing(
        self, committed_thing: EventType, woken: list[int]
    ) -> None:
        @transaction.atomic
        def bill() -> None:
            publish("thing.happened", EXACT, idempotency_key="k")
            assert counts() == [1, 1, 1]
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            bill()

        assert counts() == [0, 0, 0]
        assert woken == []

    def test_a_commit_keeps_the_event_and_wakes_the_fan_out_once(
        self, committed_thing: EventType, woken: list[int]
    ) -> None:
        with transaction.atomic():
            publish("thing.happened", EXACT)
            publish("thing.happened", EXACT)
            with transaction.atomic():
                publish("thing.happened", EXACT)
                transaction.set_rollback(True)
            assert woken == []

        assert counts() == [2, 2, 0]
        assert sum(woken) == 2
        assert len(woken) == 1

    def test_a_failing_listener_does_not_reach_the_caller(
        self, committed_thing: EventType, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(**_: Any) -> None:
            raise RuntimeError("listener")

        event_published.connect(fail)
        try:
            with transaction.atomic():
                publish("thing.happened", EXACT)
            publish("thing.happened", EXACT)
        finally:
            event_published.disconnect(fail)

        assert counts() == [2, 2, 0]

    def test_one_statement_is_all_it_takes(
        self, thing: EventType, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        publish("thing.happened", EXACT)
        publisher = Subscriber.objects.create(name="Example Telecom")

        with django_assert_num_queries(1):
            publish("thing.happened", EXACT)
        with django_assert_num_queries(1):
            publish("thing.happened", EXACT, idempotency_key="k", publisher=publisher, queue="loose")
        with django_assert_num_queries(1):
            publish_each([Draft(type="thing.happened", data=EXACT) for _ in range(20)])
        with django_assert_num_queries(2):
            publish("thing.happened", EXACT, idempotency_key="k", publisher=publisher, queue="loose")

    def test_a_swallowed_database_error_cannot_be_committed(self, committed_thing: EventType) -> None:
        catalog_cache.find("thing.happened")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE events_event ADD CONSTRAINT broken CHECK (id < 0) NOT VALID")

        @transaction.atomic
        def bill() -> None:
            with pytest.raises(DatabaseError):
                publish("thing.happened", EXACT)
            Queue.objects.update(description="committed")

        try:
            with pytest.raises(transaction.TransactionManagementError):
                bill()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE events_event DROP CONSTRAINT broken")


class TestContent:
    def test_text_and_bytes_are_kept_byte_for_byte(self, thing: EventType) -> None:
        for data in (EXACT, EXACT.encode()):
            event = publish("thing.happened", data).event
            assert event.data == EXACT
            assert Event.objects.get(pk=event.pk).data == EXACT

    def test_a_mapping_is_written_with_exact_decimals(self, thing: EventType) -> None:
        moment = datetime(2026, 11, 22, 14, 3, 9, tzinfo=UTC)
        data = {"total": Decimal("19.90"), "at": moment, "account": {"id": "1001"}}

        event = publish("thing.happened", data).event

        assert event.data == '{"total":"19.90","at":"2026-11-22T14:03:09Z","account":{"id":"1001"}}'

    def test_the_returned_event_is_the_stored_row(self, thing: EventType) -> None:
        later = timezone.now() + timedelta(hours=1)
        publisher = Subscriber.objects.create(name="Example Telecom")
        event = publish(
            "thing.happened",
            EXACT,
            queue="loose",
            idempotency_key="k",
            deliver_at=later,
            publisher=publisher,
            source=Event.Source.SCHEDULE,
        ).event

        stored = Event.objects.get(pk=event.pk)
        for field in Event._meta.concrete_fields:
            assert getattr(event, field.attname) == getattr(stored, field.attname), field.name
        assert stored.inbox_entry.due_at == later

    def test_a_past_deliver_at_does_not_wait(self, thing: EventType) -> None:
        event = publish("thing.happened", EXACT, deliver_at=timezone.now() - timedelta(hours=1)).event
        assert InboxEntry.objects.get(event=event).due_at is None

    def test_account_and_ordering_key_come_from_the_payload(self, thing: EventType) -> None:
        event = publish("thing.happened", EXACT).event
        assert (event.account, event.ordering_key) == ("1001", "account:1001")

    def test_account_and_ordering_key_of_the_call_come_first(self, thing: EventType) -> None:
        event = publish("thing.happened", EXACT, account="7", ordering_key="x").event
        assert (event.account, event.ordering_key) == ("7", "x")
        event = publish("thing.happened", {}, account="7").event
        assert (event.account, event.ordering_key) == ("7", "account:7")

    @pytest.mark.parametrize(
        ("data", "field"),
        [
            ("[1]", "/data"),
            ("{", "/data"),
            ('{"a":NaN}', "/data"),
            (b'{"a":"\xff"}', "/data"),
            ('{"a":"\ud800"}', "/data"),
            ('{"a":"\\ud800"}', "/data"),
            ('{"a":{"b/c":["x\\u0000"]}}', "/data/a/b~1c/0"),
            ('{"a\\u0000":1}', "/data"),
            ('{"a":1e999999}', "/data"),
            ('{"a":1e99999999999999999999}', "/data"),
            ('{"a":' * 33 + "1" + "}" * 33, "/data"),
            ('{"a":' * 5000 + "1" + "}" * 5000, "/data"),
            ({"a": object()}, "/data"),
            ('{"account":{"id":5}}', "/data/account/id"),
            ('{"account":{"id":"1"},"amount":-0.01}', "/data/amount"),
        ],
    )
    def test_a_payload_outside_the_rules_is_refused_at_its_place(
        self, thing: EventType, data: Any, field: str
    ) -> None:
        with pytest.raises(InvalidPayload) as refusal:
            publish("thing.happened", data, idempotency_key="k")
        assert [error.field for error in refusal.value.errors] == [field]
        assert counts() == [0, 0, 0]

    def test_the_limits_themselves_are_allowed(self, thing: EventType) -> None:
        deep = '{"a":' * 32 + "1" + "}" * 32
        publish("thing.happened", deep, account="1")
        text = '{"a":"' + "x" * (MAX_BYTES - 8) + '"}'
        publish("thing.happened", text, account="1")
        with pytest.raises(PayloadTooLarge):
            publish("thing.happened", text + " ", account="1")
        publish("thing.happened", '{"a":"\\\\u0000 {{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{"}', account="1")

    @pytest.mark.parametrize("name", ["account", "ordering_key", "idempotency_key"])
    @pytest.mark.parametrize("value", ["x" * 201, "a\nb", "a\0b", "\ud800"])
    def test_a_key_that_would_break_a_header_is_refused(
        self, thing: EventType, name: str, value: str
    ) -> None:
        with pytest.raises(InvalidField) as refusal:
            publish("thing.happened", EXACT, **{name: value})
        assert refusal.value.field == f"/{name}"

    @pytest.mark.parametrize("name", ["occurred_at", "deliver_at"])
    def test_a_time_without_an_offset_is_refused(self, thing: EventType, name: str) -> None:
        with pytest.raises(InvalidField, match="offset"):
            publish("thing.happened", EXACT, **{name: datetime(2026, 1, 1)})


class TestRouting:
    def test_an_unknown_event_type_is_answered_with_the_nearest(self, thing: EventType) -> None:
        with pytest.raises(UnknownEventType, match=r"Did you mean thing\.happened\?"):
            publish("thing.happend", EXACT)

    def test_an_inactive_event_type_is_refused(self, thing: EventType) -> None:
        thing.is_active = False
        thing.save()
        with pytest.raises(InactiveEventType):
            publish("thing.happened", EXACT)

    def test_a_new_event_type_is_known_at_once(self, thing: EventType) -> None:
        publish("thing.happened", EXACT)
        EventType.objects.bulk_create(
            [EventType(code="other.done", label="Other", resource="x", operation="create", category="x")]
        )
        assert publish("other.done", EXACT).created

    def test_queues_are_checked_by_name_and_routing(self, thing: EventType) -> None:
        with pytest.raises(UnknownQueue, match="Did you mean orderly"):
            publish("thing.happened", EXACT, queue="orderli")
        with pytest.raises(NotRouted, match="loose, orderly"):
            publish("thing.happened", EXACT, queue="empty")
        queue = Queue.objects.get(name="loose")
        assert publish("thing.happened", EXACT, queue="loose").event.queue == queue

    def test_an_in_order_queue_needs_an_ordering_key(self, thing: EventType) -> None:
        with pytest.raises(NoOrderingKey, match=r"orderly.*account\.id"):
            publish("thing.happened", {})
        assert publish("thing.happened", {}, queue="loose").event.ordering_key == ""
        assert counts() == [1, 1, 0]


class TestIdempotency:
    def test_the_same_again_returns_the_first_event(self, thing: EventType, woken: list[int]) -> None:
        first = publish("thing.happened", EXACT, idempotency_key="k")
        reordered = (
            '{"account": {"id":"\\u0031001"}, "n":12345678901234567890, "a":"ë€","amount":1.99e1,"z":1.0}'
        )
        again = publish("thing.happened", reordered, idempotency_key="k", account="1001")

        assert (first.created, again.created) == (True, False)
        assert again.event == first.event
        assert again.event.data == EXACT
        assert counts() == [1, 1, 1]

    @pytest.mark.parametrize(
        ("change", "differing"),
        [
            ({"data": EXACT.replace("890", "891")}, ["data"]),
            ({"data": EXACT.replace("19.90", '"19.90"')}, ["data"]),
            ({"data": EXACT.replace('"z":1', '"z":true')}, ["data"]),
            ({"account": "7"}, ["account"]),
            ({"ordering_key": "x"}, ["ordering_key"]),
            ({"queue": "loose"}, ["queue"]),
            ({"deliver_at": datetime(2026, 1, 1, tzinfo=UTC)}, ["deliver_at"]),
            ({"occurred_at": datetime(2026, 1, 1, tzinfo=UTC)}, ["occurred_at"]),
            ({"event_type": "other.done", "account": "7"}, ["type", "account"]),
        ],
    )
    def test_other_content_under_the_key_is_a_conflict_that_names_it(
        self, thing: EventType, change: dict[str, Any], differing: list[str]
    ) -> None:
        other = EventType.objects.create(
            code="other.done", label="Other", resource="x", operation="create", category="x"
        )
        other.ordering_prefix, other.ordering_path = "account", "account.id"
        other.save()
        first = publish("thing.happened", EXACT, idempotency_key="k").event
        call = {"event_type": "thing.happened", "data": EXACT, "idempotency_key": "k"} | change
        if "event_type" in change:
            call["ordering_key"] = "account:1001"

        # The schema lets a string amount through no more than the conflict would.
        thing.schema = {}
        thing.save()
        with pytest.raises(IdempotencyConflict) as conflict:
            publish(**call)

        assert conflict.value.differing == differing
        assert conflict.value.first == first
        assert counts() == [1, 1, 1]

    def test_a_key_belongs_to_its_publisher(self, thing: EventType) -> None:
        one, two = (Subscriber.objects.create(name=name) for name in ("One", "Two"))
        assert publish("thing.happened", EXACT, idempotency_key="k", publisher=one).created
        assert publish("thing.happened", EXACT, idempotency_key="k", publisher=two).created
        assert publish("thing.happened", EXACT, idempotency_key="k").created
        assert not publish("thing.happened", EXACT, idempotency_key="k", publisher=one).created

    def test_a_key_outlives_its_event(self, thing: EventType) -> None:
        first = publish("thing.happened", EXACT, idempotency_key="k").event
        Event.objects.all().delete()

        again = publish("thing.happened", EXACT, idempotency_key="k")
        assert (again.created, again.event.uid) == (False, first.uid)
        assert again.event.data == EXACT
        with pytest.raises(IdempotencyConflict, match="no longer kept"):
            publish("thing.happened", {"account": {"id": "2"}}, idempotency_key="k")
        assert counts() == [0, 0, 1]

    def test_a_changed_ordering_rule_does_not_turn_a_retry_into_a_conflict(self, thing: EventType) -> None:
        first = publish("thing.happened", EXACT, idempotency_key="k").event
        thing.ordering_prefix, thing.ordering_path = "thing", "z"
        thing.save()
        assert publish("thing.happened", EXACT, idempotency_key="k") == Published(first, created=False)

    def test_fifty_concurrent_duplicates_give_one_event(
        self, committed_thing: EventType, woken: list[int]
    ) -> None:
        start = threading.Barrier(50)

        def send(_: int) -> Published:
            try:
                connection.ensure_connection()
                start.wait(30)
                return publish("thing.happened", EXACT, idempotency_key="k")
            finally:
                connection.close()

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(send, range(50)))

        assert counts() == [1, 1, 1]
        assert {answer.event.uid for answer in answers} == {Event.objects.get().uid}
        assert sum(answer.created for answer in answers) == 1
        assert sum(woken) == 1

    @pytest.mark.parametrize("commits", [True, False])
    def test_a_repeat_waits_for_the_first_transaction(
        self, committed_thing: EventType, commits: bool
    ) -> None:
        def send() -> Published:
            try:
                return publish("thing.happened", EXACT, idempotency_key="k")
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                first = publish("thing.happened", EXACT, idempotency_key="k").event
                second = pool.submit(send)
                with pytest.raises(TimeoutError):
                    second.result(timeout=0.3)
                transaction.set_rollback(not commits)
            answer = second.result(timeout=30)

        assert answer.created is not commits
        assert (answer.event.uid == first.uid) is commits
        assert counts() == [1, 1, 1]


class TestBatch:
    def test_a_batch_is_published_in_its_order(self, thing: EventType, woken: list[int]) -> None:
        drafts = [Draft(type="thing.happened", data={"account": {"id": str(n)}}) for n in range(50)]
        published = publish_many(drafts)

        assert [event.account for event in Event.objects.order_by("id")] == [str(n) for n in range(50)]
        assert [each.event.account for each in published] == [str(n) for n in range(50)]

    def test_a_key_repeated_within_a_batch_is_the_first_one(self, thing: EventType) -> None:
        draft = Draft(type="thing.happened", data=EXACT, idempotency_key="k")
        one, two, three = publish_many([draft, Draft(type="thing.happened", data=EXACT), draft])

        assert [one.created, two.created, three.created] == [True, True, False]
        assert three.event == one.event
        assert counts() == [2, 2, 1]

    def test_all_or_nothing_leaves_nothing_and_names_every_fault(self, thing: EventType) -> None:
        publish("thing.happened", EXACT, idempotency_key="k")
        with pytest.raises(BatchRefused) as refused:
            publish_many(
                [
                    Draft(type="thing.happened", data=EXACT, idempotency_key="new"),
                    Draft(type="thing.happened", data={"account": {}}),
                    Draft(type="thing.happened", data={"account": {"id": "2"}}, idempotency_key="k"),
                ],
                place="/events",
            )
        fields = [error.field for error in refused.value.errors]
        assert fields == [
            "/events/1/data/account/id",
            "/events/2/data",
            "/events/2/account",
            "/events/2/ordering_key",
        ]
        assert counts() == [1, 1, 1]

    def test_each_by_itself_publishes_what_can_be(self, thing: EventType) -> None:
        good = Draft(type="thing.happened", data=EXACT)
        one, two, three = publish_each([good, Draft(type="nothing.known", data=EXACT), good])

        assert isinstance(one, Published)
        assert isinstance(two, UnknownEventType)
        assert isinstance(three, Published)
        assert counts() == [2, 2, 0]

    def test_batches_that_share_keys_in_opposite_order_do_not_deadlock(
        self, committed_thing: EventType
    ) -> None:
        drafts = [Draft(type="thing.happened", data=EXACT, idempotency_key=f"k{n}") for n in range(200)]
        catalog_cache.find("thing.happened")

        def send(turn: int) -> list[Published]:
            try:
                return publish_many(drafts if turn % 2 else drafts[::-1])
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8)))

        assert counts() == [200, 200, 200]
        assert sum(each.created for answer in answers for each in answer) == 200

    def test_an_empty_batch_is_no_statement(
        self, thing: EventType, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        with django_assert_num_queries(0):
            assert publish_each([]) == []


class TestCanonical:
    @pytest.mark.parametrize(
        ("one", "other", "equal"),
        [
            ('{"a":1,"b":2}', '{ "b":2.0, "a":1e0 }', True),
            ('{"a":19.90}', '{"a":19.9}', True),
            ('{"a":100}', '{"a":1e2}', True),
            ('{"a":-0}', '{"a":0.000}', True),
            ('{"a":0.1}', '{"a":0.1000000000000000055511151231257827}', False),
            ('{"a":12345678901234567890}', '{"a":12345678901234567891}', False),
            ('{"a":1}', '{"a":"1"}', False),
            ('{"a":1}', '{"a":true}', False),
            ('{"a":null}', "{}", False),
            ('{"a":[1,2]}', '{"a":[2,1]}', False),
            ('{"a":["b","c"]}', '{"a":["b,c"]}', False),
            ('{"a":"\\u00eb"}', '{"a":"ë"}', True),
        ],
    )
    def test_only_the_meaning_counts(self, one: str, other: str, equal: bool) -> None:
        assert (canonical(parse(one).value) == canonical(parse(other).value)) is equal

    @given(
        st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False)
    )
    def test_numbers_are_one_exactly_when_they_are_equal(self, one: Decimal, other: Decimal) -> None:
        assert (canonical(one) == canonical(other)) is (one == other)


@pytest.mark.parametrize("field", ["occurred_at", "deliver_at"])
@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "1066-10-14T09:00:00Z"]
)
def test_a_time_that_nobody_can_read_is_refused(thing, moment, field):
    with pytest.raises(InvalidField) as refusal:
        publish("thing.happened", EXACT, **{field: datetime.fromisoformat(moment)})

    assert refusal.value.field == f"/{field}"
    assert not Event.objects.exists()
