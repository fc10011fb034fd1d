"""Reporting billing objects: upserts, versions, parents, and one change for each difference."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import changes, kinds, objects, partitions, prune
from events.activity import Used, record
from events.canonical import canonical
from events.fold import fold
from events.lineage import lineage
from events.models import Activity, BillingObject, Change, EventType, ObjectKind
from events.report_refusals import ReportsRefused
from tests.workers import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def known_kinds(db: None) -> None:
    kinds.sync()


@pytest.mark.usefixtures("known_kinds")
def test_a_report_creates_updates_and_deletes_with_one_change_each() -> None:
    first = objects.report(
        "service", "4001", {"state": "Trial", "package": {"id": "2001"}, "account": {"id": 1001}}
    )
    second = objects.report("service", "4001", {"state": "Active", "fee": Decimal("19.90")})
    third = objects.delete("service", "4001")
    changes = [each.change for each in (first, second, third)]
    assert [
        (c.operation, c.before and c.before["state"], c.after and c.after["state"]) for c in changes if c
    ] == [
        ("create", None, "Trial"),
        ("update", "Trial", "Active"),
        ("delete", "Active", None),
    ]
    assert str(Change.objects.get(operation="update").after["fee"]) == "19.90"
    assert lineage(second.object) == {
        "service": {
            "id": "4001",
            "state": "Active",
            "fee": Decimal("19.90"),
            "package": {"id": "2001"},
            "account": {"id": 1001},
        },
        "package": {"id": "2001"},
        "account": {"id": "1001"},
    }
    row = BillingObject.objects.get(kind="service")
    assert row.is_deleted
    assert row.state["state"] == "Active"


STATES: list[tuple[Any, Any, bool]] = [
    ({"a": Decimal("19.90")}, {"a": Decimal("19.9")}, False),
    ({"a": 1}, {"a": True}, True),
    ({"a": 1}, {"a": "1"}, True),
    ({"a": None}, {}, True),
    ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}, False),
    ({"a": 12345678901234567890}, {"a": 12345678901234567891}, True),
]


@pytest.mark.usefixtures("known_kinds")
@pytest.mark.parametrize(("before", "after", "differs"), STATES)
def test_only_a_difference_leaves_a_change(before: Any, after: Any, differs: bool) -> None:
    objects.report("account", "1", before)
    assert (objects.report("account", "1", after).change is not None) is differs


@pytest.mark.usefixtures("known_kinds")
@pytest.mark.parametrize(
    ("report", "parent"),
    [
        ({"state": {"name": "x"}}, "package:P"),
        ({"state": {"package": {"id": "Q"}}}, "package:Q"),
        ({"state": {}, "parents": {"account": "7"}}, "package:P"),
        ({"state": {"package": None}}, "account:1"),
        ({"state": {"package": None, "account": None}}, "None"),
        ({"state": {"package": {"id": None}}, "partial": True}, "account:1"),
        ({"state": {"name": "x"}, "partial": True}, "package:P"),
    ],
)
def test_a_parent_stays_until_a_report_says_otherwise(report: dict[str, Any], parent: str) -> None:
    objects.report("service", "S", {"name": "a"}, parents={"package": "P", "account": "1"})
    row = objects.report("service", "S", **report).object
    assert str(BillingObject.objects.get(pk=row.pk).parent) == parent


@pytest.mark.usefixtures("known_kinds")
def test_a_parent_that_nobody_reported_belongs_to_what_was_named_after_it() -> None:
    row = objects.report("service", "S", {}, parents={"package": "P", "account": "1"}).object
    assert list(lineage(row)) == ["service", "package", "account"]
    first = objects.report("account", "1", {"name": "A"})
    assert first.change is not None
    assert (first.change.operation, first.change.before) == ("create", None)
    assert lineage(row)["account"] == {"id": "1", "name": "A"}


@pytest.mark.usefixtures("known_kinds")
def test_a_delete_that_overtakes_its_create_wins() -> None:
    assert objects.delete("account", "1", version=2).change is None
    assert objects.report("account", "1", {"name": "late"}, version=1).is_stale
    assert objects.report("account", "1", {"name": "anew"}, version=3).change is not None


@pytest.mark.usefixtures("known_kinds")
def test_nothing_of_a_refused_batch_is_woken_for(django_capture_on_commit_callbacks: Any) -> None:
    woken: list[int] = []

    def note(count: int, **_: Any) -> None:
        woken.append(count)

    changes.wake.connect(note)
    try:
        reports = [
            objects.Report(kind="account", external_id=each, state={"a": 1}) for each in ("1", "2", "")
        ]
        with django_capture_on_commit_callbacks(execute=True), pytest.raises(ReportsRefused):
            objects.report_many(reports)
        with django_capture_on_commit_callbacks(execute=True):
            objects.report_many(reports[:2])
            objects.report("account", "2", {"a": 2})
    finally:
        changes.wake.disconnect(note)
    assert woken == [3]


def test_concurrent_batches_in_any_order_end_without_a_deadlock(catalog: dict[str, EventType]) -> None:
    def reports(worker: int) -> list[objects.Report]:
        ids = range(30) if worker % 2 else reversed(range(30))
        return [
            objects.Report(
                kind="service",
                external_id=str(at),
                state={"worker": worker, "turn": 0},
                parents={"package": str(at % 5), "account": str(at % 3)},
            )
            for at in ids
        ]

    results = together(*[partial(objects.report_many, reports(worker)) for worker in range(8)])
    assert [type(each) for each in results] == [list] * 8
    for at in range(30):
        history = Change.objects.filter(kind="service", external_id=str(at)).order_by("id")
        states = [(each.before, each.after) for each in history]
        assert len(states) == 8
        assert all(earlier[1] == later[0] for earlier, later in pairwise(states))


@pytest.mark.usefixtures("known_kinds")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.none() | st.fixed_dictionaries({"v": st.integers(0, 3)})), max_size=12
    )
)
def test_reports_in_any_order_end_in_the_state_of_the_highest_version(reports: list[Any]) -> None:
    with transaction.atomic():
        # One state for each version, as a billing system has it; reports come late, twice and out of order.
        truth = dict(reversed(reports))
        for version, _ in reports:
            if truth[version] is None:
                objects.delete("account", "1", version=version)
            else:
                objects.report("account", "1", truth[version], version=version)
        history = list(Change.objects.order_by("id"))
        row = BillingObject.objects.filter(kind="account").first()
        last = truth[max(truth)] if truth else None
        assert (None if row is None or row.deleted_at else row.state) == last
        # The history is a chain without gaps and without links that change nothing.
        states = [None, *[each.after for each in history]]
        assert [each.before for each in history] == states[:-1]
        assert all(canonical(a) != canonical(b) for a, b in pairwise(states))
        transaction.set_rollback(True)


@pytest.mark.usefixtures("known_kinds")
def test_what_a_host_wrote_and_cannot_be_taken_over_keeps_the_reason_and_holds_up_nothing() -> None:
    now = timezone.now()
    rows = [("", {"a": 1}), ("7", {"sim": {"id": "1"}})]
    Change.objects.bulk_create(
        Change(
            kind="gadget", external_id=each, operation="create", after=state, source="signal", occurred_at=now
        )
        for each, state in rows
    )
    assert fold() == 2
    assert fold() == 0
    found = {each.external_id: each for each in Change.objects.all()}
    assert found[""].error.startswith("/id: Give an id of 1 to 100")
    assert found[""].evaluated_at is not None
    assert (found["7"].error, found["7"].evaluated_at) == ("", None)
    assert ObjectKind.objects.get(code="gadget").label == "Gadget"


@pytest.mark.usefixtures("known_kinds")
def test_retention_removes_old_months_whole_and_what_was_deleted_long_ago() -> None:
    old = datetime(2001, 2, 3, tzinfo=UTC)
    with connection.cursor() as cursor:
        for month, after in (("2001_01", "2001_02"), ("2001_02", "2001_03")):
            start, end = (f"{each.replace('_', '-')}-01 00:00+00" for each in (month, after))
            name = f"events_change_{month}"
            cursor.execute(
                f"CREATE TABLE {name} PARTITION OF events_change FOR VALUES FROM ('{start}') TO ('{end}')"
            )
    given = {"kind": "account", "operation": "create", "source": "api", "occurred_at": old, "folded_at": old}
    Change.objects.create(
        **given, external_id="looked at", reported_at=old - timedelta(days=20), evaluated_at=old
    )
    Change.objects.create(**given, external_id="waits", reported_at=old)
    Change.objects.create(
        **given, external_id="late", reported_at=datetime(1999, 1, 1, tzinfo=UTC), evaluated_at=old
    )
    objects.report("package", "P", {}, parents={"account": "gone"})
    objects.report("account", "gone", {})
    objects.delete("account", "gone", occurred_at=old)
    objects.delete("package", "P", occurred_at=old)
    objects.report("account", "stays", {})
    record([Used("account", "usage", each, old) for each in ("gone", "stays")])
    kept = Change.objects.filter(reported_at__gt=old + timedelta(days=60)).count()

    assert prune.prune() == 2
    assert list(BillingObject.objects.values_list("external_id", flat=True)) == ["stays"]
    assert list(Activity.objects.values_list("external_id", flat=True)) == ["stays"]
    assert list(
        Change.objects.filter(reported_at__lt=old + timedelta(days=60)).values_list("external_id")
    ) == [("waits",)]
    assert Change.objects.count() == kept + 1
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_regclass('events_change_2001_01') IS NULL, to_regclass('events_change_2001_02') IS NULL"
        )
        assert cursor.fetchone() == (True, False)


def test_a_row_of_a_month_without_a_partition_moves_into_it_once_that_is_made(db: None) -> None:
    with connection.cursor() as cursor:
        month = timezone.now().strftime("%Y_%m")
        cursor.execute(f"DROP TABLE events_change_{month}")
        kinds.sync()
        change = objects.report("account", "1", {"a": 1}).change
        assert partitions.ensure() == [f"events_change_{month}"]
        cursor.execute(f"SELECT count(*) FROM events_change_{month}")
        assert cursor.fetchone() == (1,)
    assert change is not None
    assert Change.objects.get(pk=change.pk).after == {"a": 1}
