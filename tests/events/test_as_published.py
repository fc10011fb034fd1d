"""Objects as an event found them: what was reported later, beside it, before it, and what is no longer kept."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from events import fold, kinds, objects, tracking
from events.as_published import as_published
from events.models import BillingObject, Change, Event, EventType
from events.publish import publish

pytestmark = pytest.mark.django_db

SERVICE = {"name": "Fleet", "package": {"id": "2"}, "account": {"id": "1"}}


def report_all() -> None:
    EventType.objects.create(
        code="test.happened", label="Happened", resource="service", operation="update", category="tests"
    )
    kinds.sync()
    objects.report("account", "1", {"segment": "gold"}, version=3)
    objects.report("account", "9", {"segment": "other"})
    objects.report("package", "2", {"code": "IOT", "account": {"id": "1"}})
    objects.report("service", "4", SERVICE)


@pytest.fixture
def reported(db: None) -> None:
    report_all()


def published(**account: Any) -> Event:
    data = {"refund": {"id": "5"}, "account": {"id": "1", **account}}
    return publish("test.happened", data).event


def found(event: Event, *named: tuple[str, str]) -> dict[tuple[str, str], Any]:
    return {(each.kind, each.external_id): each.state for each in as_published(event.uid, named)}


def report_anew() -> None:
    objects.report("account", "1", {"segment": "silver"}, version=4)


def move() -> None:
    objects.report("package", "2", {"code": "IOT", "account": {"id": "9"}})
    objects.report("service", "4", {**SERVICE, "account": {"id": "9"}})


def change_twice() -> None:
    report_anew()
    objects.report("account", "1", {"segment": "bronze"}, version=5)


def end() -> None:
    objects.delete("service", "4")
    objects.delete("account", "1")


def end_and_begin() -> None:
    end()
    objects.report("account", "1", {"segment": "new"})
    objects.report("service", "4", {"name": "New"})


def forget_the_rows() -> None:
    end()
    BillingObject.objects.filter(kind__in=["service", "account"]).delete()


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    "later", [None, report_anew, change_twice, move, end, end_and_begin, forget_the_rows]
)
def test_what_is_reported_after_the_event_does_not_count(later: Callable[[], None] | None) -> None:
    event = published()
    if later:
        later()
    states = found(event, ("service", "4"))
    assert next(iter(states)) == ("service", "4")
    assert states["service", "4"]["name"] == "Fleet"
    assert states["package", "2"]["code"] == "IOT"
    assert states["account", "1"] == {"segment": "gold"}
    assert ("account", "9") not in states


@pytest.mark.usefixtures("reported")
def test_what_did_not_change_since_takes_one_statement(django_assert_num_queries: Any) -> None:
    event = published()
    with django_assert_num_queries(1):
        assert len(as_published(event.uid, [("service", "4"), ("account", "1")])) == 3


@pytest.mark.usefixtures("reported")
def test_the_version_that_the_event_found_is_told() -> None:
    event, last = published(), Change.objects.get(kind="account", external_id="1")
    report_anew()
    [account] = as_published(event.uid, [("account", "1")])
    assert (account.version, account.change_id, account.has_changed) == (3, last.pk, True)


@pytest.mark.usefixtures("reported")
def test_what_was_first_reported_afterwards_was_not_known() -> None:
    event = published()
    objects.report("account", "77", {"segment": "late"})
    objects.report("service", "78", {"account": {"id": "79"}})
    objects.report("account", "79", {"segment": "late"})
    [unknown] = as_published(event.uid, [("account", "77")])
    assert (unknown.state, unknown.is_forgotten) == (None, False)
    assert found(event, ("service", "78"), ("sim", "none")) == {
        ("service", "78"): None,
        ("sim", "none"): None,
    }


@pytest.mark.usefixtures("reported")
def test_an_event_after_a_deletion_still_finds_the_last_state() -> None:
    end()
    event = published()
    assert found(event, ("account", "1")) == {("account", "1"): {"segment": "gold"}}
    end_and_begin_again = objects.report("account", "1", {"segment": "new"})
    assert end_and_begin_again.change
    assert found(event, ("account", "1")) == {("account", "1"): {"segment": "gold"}}


@pytest.mark.usefixtures("reported")
def test_the_publishers_own_transaction_counts_up_to_the_event() -> None:
    with transaction.atomic():
        objects.report("account", "1", {"segment": "silver"})
        objects.report("account", "2", {"segment": "own"})
        event = published()
        with transaction.atomic():
            objects.report("account", "1", {"segment": "bronze"})
            last = published()
    assert found(event, ("account", "1"), ("account", "2")) == {
        ("account", "1"): {"segment": "silver"}, ("account", "2"): {"segment": "own"},
    }  # fmt: skip
    assert found(last, ("account", "1")) == {("account", "1"): {"segment": "bronze"}}


@pytest.mark.usefixtures("catalog")
def test_what_was_being_reported_beside_the_event_is_later() -> None:
    report_all()
    is_written, is_published = threading.Event(), threading.Event()

    def beside() -> None:
        try:
            with transaction.atomic():
                objects.report("account", "1", {"segment": "beside"})
                is_written.set()
                assert is_published.wait(20)
        finally:
            connection.close()

    reporter = threading.Thread(target=beside)
    reporter.start()
    assert is_written.wait(20)
    event = published()  # its change has the higher mark, and was written earlier
    is_published.set()
    reporter.join()
    assert Change.objects.get(after__segment="beside").reported_at < event.created_at
    assert found(event, ("account", "1")) == {("account", "1"): {"segment": "gold"}}
    assert found(published(), ("account", "1")) == {("account", "1"): {"segment": "beside"}}


def by_host(external_id: str, after: str, *, is_partial: bool = False) -> None:
    """What `events.track` writes: nobody has compared it with the object yet."""
    with connection.cursor() as cursor:
        cursor.execute(tracking._INSERT, ["account", external_id, "update", after, is_partial])


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize("folds", [True, False])
def test_what_a_host_wrote_counts_from_its_own_commit(folds: bool) -> None:
    by_host("1", '{"region": "north"}', is_partial=True)
    by_host("50", '{"region": "south"}')
    event = published()
    by_host("1", '{"region": "later"}', is_partial=True)
    if folds:
        assert fold.fold() == 3
    assert found(event, ("account", "1"), ("account", "50")) == {
        ("account", "1"): {"segment": "gold", "region": "north"},
        ("account", "50"): {"region": "south"},
    }


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(("later", "state"), [(None, {"segment": "gold"}), (report_anew, None)])
def test_where_the_history_is_gone_only_what_did_not_change_is_known(
    later: Callable[[], None] | None, state: dict[str, Any] | None
) -> None:
    event = published()
    with connection.cursor() as cursor:
        # The event and the report are older than the oldest month that is kept.
        cursor.execute("UPDATE events_event SET created_at = '2020-01-02' WHERE id = %s", [event.pk])
        long_ago = "UPDATE events_billingobject SET created_at = '2020-01-01', reported_at = '2020-01-01'"
        cursor.execute(long_ago)
    if later:
        later()
    Change.objects.all().delete()
    [account] = as_published(event.uid, [("account", "1")])
    assert (account.state, account.is_forgotten) == (state, state is None)


@pytest.mark.usefixtures("reported")
def test_what_was_written_before_the_upgrade_goes_by_time() -> None:
    event = published()
    report_anew()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_event SET seen = NULL, written_by = NULL, change_mark = NULL")
        cursor.execute("UPDATE events_change SET written_by = NULL")
    assert found(event, ("account", "1")) == {("account", "1"): {"segment": "gold"}}


@pytest.mark.usefixtures("reported")
def test_a_restored_server_numbers_transactions_anew_and_the_history_stays_right() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE events_change SET written_by = '99999999', reported_at = now() - interval '2 days'"
        )
    event = published()
    report_anew()
    assert found(event, ("account", "1")) == {("account", "1"): {"segment": "gold"}}
    assert timezone.now() - event.created_at < timedelta(days=1)
