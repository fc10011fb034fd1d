"""The catalog's way to rows, and what it leaves to administrators."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from events import catalog
from events.models import EventType, Queue, Route, Token
from events.sync import SyncReport, sync

CODES = [spec.code for spec in catalog.SHIPPED]


@pytest.mark.django_db
class TestSync:
    @pytest.fixture(autouse=True)
    def _empty_catalog(self) -> None:
        Queue.objects.all().delete()
        EventType.objects.all().delete()

    def test_the_first_sync_creates_types_tokens_and_queues(self) -> None:
        assert sync() == SyncReport(created=23, updated=0, unchanged=0, retired=0)

        assert set(EventType.objects.filter(is_builtin=True).values_list("code", flat=True)) == set(CODES)
        for spec in catalog.SHIPPED:
            row = EventType.objects.get(code=spec.code)
            assert row.schema == catalog.schema(spec)
            assert row.sample == catalog.sample(spec)
            assert set(row.tokens.values_list("name", flat=True)) == {each.name for each in spec.tokens}
            row.full_clean()
        for token in Token.objects.filter(event_type__code="invoice.posted"):
            token.full_clean()
        assert dict(Queue.objects.values_list("name", "is_ordered")) == {"billing": True, "bulk": False}
        assert set(Route.objects.values_list("queue__name", "event_type__code")) == {
            ("billing", code) for code in CODES
        }

    def test_a_second_sync_changes_nothing_in_few_queries(
        self, django_assert_num_queries: Callable[..., Any]
    ) -> None:
        sync()
        before = [list(model.objects.order_by("pk").values()) for model in (EventType, Token, Queue, Route)]

        # The savepoint and its release, the lock, retired types, types, kinds, tokens, "is there a queue?".
        with django_assert_num_queries(12):
            report = sync()

        assert report == SyncReport(created=0, updated=0, unchanged=23, retired=0)
        after = [list(model.objects.order_by("pk").values()) for model in (EventType, Token, Queue, Route)]
        assert after == before

    def test_what_drifted_is_put_right_and_an_administrators_choices_stay(self) -> None:
        sync()
        EventType.objects.filter(code="invoice.posted").update(
            label="Changed", is_active=False, retention_days=7
        )
        Token.objects.filter(event_type__code="sim.dormant", name="sim.iccid").update(kind="integer")
        Token.objects.filter(event_type__code="invoice.posted", name="invoice.total").delete()

        assert sync() == SyncReport(created=0, updated=2, unchanged=21, retired=0)

        row = EventType.objects.get(code="invoice.posted")
        assert (row.label, row.is_active, row.retention_days) == ("Invoice Posted", False, 7)
        assert row.tokens.filter(name="invoice.total").exists()
        assert Token.objects.get(event_type__code="sim.dormant", name="sim.iccid").kind == "string"

    def test_an_administrators_own_types_tokens_and_queues_survive(self) -> None:
        sync()
        own = EventType.objects.create(code="meter.read", label="Meter", resource="meter", operation="create")
        Token.objects.create(event_type=own, name="meter.id", group="meter", kind="string")
        posted = EventType.objects.get(code="invoice.posted")
        Token.objects.create(event_type=posted, name="invoice.cost_centre", group="invoice", kind="string")
        Queue.objects.filter(name="bulk").delete()

        assert sync() == SyncReport(created=0, updated=0, unchanged=23, retired=0)

        assert own.tokens.count() == 1
        assert EventType.objects.filter(code="meter.read", is_builtin=False, is_active=True).exists()
        assert posted.tokens.filter(name="invoice.cost_centre").exists()
        assert [queue.name for queue in Queue.objects.all()] == ["billing"]

    def test_an_administrators_type_under_a_built_in_code_stays_theirs(self) -> None:
        EventType.objects.create(code="sim.dormant", label="Ours", resource="sim", operation="create")

        assert sync() == SyncReport(created=22, updated=0, unchanged=1, retired=0)

        assert EventType.objects.get(code="sim.dormant").label == "Ours"
        assert not Token.objects.filter(event_type__code="sim.dormant").exists()

    def test_a_type_that_is_no_longer_shipped_is_retired_once(self) -> None:
        sync()

        assert sync(catalog.SHIPPED[1:]) == SyncReport(created=0, updated=0, unchanged=22, retired=1)
        assert sync(catalog.SHIPPED[1:]).retired == 0

        row = EventType.objects.get(code=catalog.SHIPPED[0].code)
        assert (row.is_builtin, row.is_active, row.tokens.exists()) == (False, False, True)

    def test_the_command_prints_the_counts(self) -> None:
        out = StringIO()
        call_command("sync_catalog", stdout=out)
        assert out.getvalue() == "Event types: 23 created, 0 updated, 0 unchanged, 0 retired.\n"


@pytest.mark.django_db(transaction=True)
def test_concurrent_syncs_take_turns() -> None:
    Queue.objects.all().delete()
    EventType.objects.all().delete()

    def one(_number: int) -> int:
        try:
            return sync().created
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(one, range(4)))

    assert sorted(created) == [0, 0, 0, 23]
    assert (EventType.objects.count(), Queue.objects.count()) == (23, 2)
