"""Storm control in the console and the API: the same numbers, the same refusals, and where each delivery stands."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from events.keys import create_key
from events.models import EventType, Scope
from events.publish import publish
from notifications import digest_csv, operate
from notifications.digest_content import Entry
from notifications.fan_out import fan_out
from notifications.finish_digests import finish
from notifications.models import Delivery, Digest, Subscription
from tests import console_form

from .test_storm_control import NOBODY, end_periods

pytestmark = pytest.mark.usefixtures("event_types")
LIST = "admin:notifications_delivery_changelist"


@pytest.fixture
def flooded(hooks: Any) -> Any:
    """A subscription of which two of three deliveries are collected."""
    hooks.storm_limit, hooks.storm_minutes = 1, 30
    hooks.save()
    hooks.queue.is_ordered = False
    hooks.queue.save()
    sample = EventType.objects.get(code="invoice.posted").sample
    for _ in range(3):
        publish("invoice.posted", sample, queue=hooks.queue.name)
    fan_out()
    return hooks


def told(console: Client, delivery: Delivery) -> tuple[str, str, str]:
    """The state, the sentence and the words of the list."""
    html = console.get(reverse("admin:notifications_delivery_change", args=[delivery.pk])).text
    sentence = strip_tags(html.partition('class="why">')[2].partition("</p>")[0])
    listed = console.get(reverse(LIST)).context["cl"]
    [row] = [row for row in listed.result_list if row.pk == delivery.pk]
    return listed.model_admin.state(row), sentence, listed.model_admin.next_try(row)


def listed(console: Client, **query: str) -> list[int]:
    return sorted(row.pk for row in console.get(reverse(LIST), query).context["cl"].result_list)


def test_the_table_ends_where_it_would_grow_too_large_and_says_how_much_it_holds(monkeypatch: Any) -> None:
    uid = UUID("019aabcd-5e6f-7a8b-9c0d-1e2f3a4b5c6d")
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    entries = [Entry(uid, uid, "sim.dormant", "Dormant SIM", noon, "1", "", None, {})] * 50
    monkeypatch.setattr(digest_csv, "MAX_BYTES", 2_000)
    table = digest_csv.table(entries, [])
    assert 0 < table.rows < 50
    assert len(table.text.encode()) <= 2_000
    assert len(list(csv.reader(io.StringIO(table.text)))) == table.rows + 1
    monkeypatch.setattr(digest_csv, "MOST_ROWS", 3)
    assert digest_csv.table(entries, []).rows == 3


def test_a_collected_delivery_says_for_which_digest_and_a_digest_what_it_carries(
    console: Client, flooded: Any, django_assert_max_num_queries: Any
) -> None:
    first, second, third = Delivery.objects.order_by("pk")
    due = f"{Digest.objects.get().due_at:%Y-%m-%d %H:%M} UTC"
    assert told(console, second) == (
        "Collected",
        f"Collected for the digest due at {due}: its subscription sends at most 1 in a period one by one. "
        "Retry sends it alone, now.",
        f"digest at {due}",
    )
    assert listed(console, status="collected") == [second.pk, third.pk]
    assert listed(console, status="held") == []
    page = console.get(reverse("admin:notifications_subscription_change", args=[flooded.pk])).text
    assert f"2 deliveries</a> for the digest due at {due[:16]}" in page

    end_periods()
    fan_out()
    carrier = Digest.objects.get().delivery
    assert carrier is not None
    assert told(console, third) == (
        "Collected",
        f"Collected: it goes out in the digest {carrier.public_id}, which is pending.",
        "with its digest",
    )
    html = console.get(reverse("admin:notifications_delivery_change", args=[carrier.pk])).text
    assert "What this digest carries" in html
    assert second.public_id in html
    assert third.public_id in html
    assert f"?digest={carrier.public_id}" in html
    assert listed(console, digest=carrier.public_id) == [second.pk, third.pk]
    assert listed(console, digest="dlv_nonsense") == []

    operate.cancel([carrier.pk], NOBODY)
    assert finish() == 2
    state, sentence, _ = told(console, second)
    assert state == "Digested"
    assert sentence.endswith(f"its digest {carrier.public_id} was cancelled.")
    Delivery.objects.filter(pk=carrier.pk).update(status="dead")
    assert f"its digest {carrier.public_id} is dead: retry" in told(console, second)[1]
    with django_assert_max_num_queries(12):
        console.get(reverse(LIST))
    assert first.status == "pending"


FAULTS = [
    (
        {"storm_limit": "0"},
        "storm_limit",
        "Write a whole number from 1 on, or leave it empty: no storm control.",
    ),
    ({"storm_limit": "many"}, "storm_limit", "Write a whole number from 1 on"),
    ({"storm_limit": "5", "storm_minutes": "0"}, "storm_minutes", "from 1 to 10,080 (a week)"),
    ({"storm_limit": "5", "storm_minutes": "10081"}, "storm_minutes", "from 1 to 10,080 (a week)"),
]


@pytest.mark.parametrize(("given", "field", "fault"), FAULTS)
def test_the_console_and_the_api_refuse_the_same(
    given: dict[str, str], field: str, fault: str, console: Client, hooks: Any
) -> None:
    url = reverse("admin:notifications_subscription_change", args=[hooks.pk])
    form = console_form.read(console.get(url), "subscription", **given)
    answer = console.post(url, form)
    assert fault in str(answer.context["adminform"].errors[field])

    _, token = create_key(
        subscriber=hooks.subscriber, name="portal", scopes=[Scope.CONFIG_READ, Scope.CONFIG_WRITE]
    )
    api = Client(headers={"Authorization": f"Bearer {token}"})
    path = f"/api/v1/subscriptions/{hooks.pk}/"
    refused = api.patch(path, json.dumps(given), content_type="application/json")
    assert refused.status_code == 400
    [named] = refused.json()["errors"]
    assert named["field"].strip("/") == field
    assert fault in named["detail"]
    kept = api.patch(
        path, json.dumps({"storm_limit": 10, "storm_minutes": 15}), content_type="application/json"
    )
    assert (kept.json()["storm_limit"], kept.json()["storm_minutes"]) == (10, 15)
    cleared = api.patch(path, json.dumps({"storm_limit": None}), content_type="application/json")
    assert cleared.json()["storm_limit"] is None
    assert Subscription.objects.get().storm_minutes == 15


def test_the_api_tells_and_lists_what_a_digest_carries(flooded: Any) -> None:
    _, token = create_key(subscriber=flooded.subscriber, name="portal", scopes=[Scope.DELIVERIES_READ])
    api = Client(headers={"Authorization": f"Bearer {token}"})
    rows = api.get("/api/v1/deliveries/?hold_cause=collected").json()["results"]
    due = Digest.objects.get().due_at
    assert [(row["digest"], row["digest_due_at"]) for row in rows] == [
        (None, due.isoformat().replace("+00:00", "Z"))
    ] * 2
    end_periods()
    fan_out()
    digest = Digest.objects.get().delivery
    assert digest is not None
    rows = api.get(f"/api/v1/deliveries/?digest={digest.public_id}").json()["results"]
    assert {row["digest"] for row in rows} == {digest.public_id}
    assert len(rows) == 2
    assert api.get(f"/api/v1/deliveries/{digest.public_id}/").json()["event_type"] == "digest"
    assert api.get("/api/v1/deliveries/?digest=dlv_nonsense").json()["results"] == []


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"), ("+43664", "'+43664"), ("-5", "'-5"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"), ("a=1", "a=1"), (-5, "'-5"), (5, "5"), (True, "true"), (None, ""),
        (["=1"], '["=1"]'), ("a;\"b\"\nc", "a;\"b\"\nc"), ("Zoë", "Zoë"),
    ],
)  # fmt: skip
def test_a_cell_is_never_a_formula(value: Any, cell: str) -> None:
    uid = UUID("019aabcd-5e6f-7a8b-9c0d-1e2f3a4b5c6d")
    entry = Entry(
        uid, uid, "sim.dormant", "Dormant SIM", datetime(2026, 11, 22, 12, tzinfo=UTC),
        "=1001", "", None, {"sim": {"id": "7", "plan": value}},
    )  # fmt: skip
    table = digest_csv.table([entry], ["sim.plan"])
    assert table.text.startswith("\ufeff")
    [head, row] = csv.reader(io.StringIO(table.text.removeprefix("\ufeff"), newline=""))
    assert head == ["event id", "type", "occurred at", "account", "object", "sim.plan"]
    assert row[1:] == ["sim.dormant", "2026-11-22T12:00:00Z", "'=1001", "sim:7", cell]
