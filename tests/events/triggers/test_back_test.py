"""Back-tests judge objects as they were, show what would be received, and never run for ever."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from events import objects
from events.models import Activity, BackTest, Trigger
from events.publish import publish
from events.triggers import back_test, tasks
from notifications.models import Parameter
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory, WebhookSubscriptionFactory

from .conftest import Rules, fired

Step = tuple[int, str, str, dict[str, Any] | None]


def day(ago: int) -> str:
    return f"{timezone.now() - timedelta(days=ago):%Y-%m-%d}"


@pytest.fixture
def old_months(db: None) -> None:
    """Changes are kept for long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE events_change_2020_01 PARTITION OF events_change "
            "FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
        )


def report_then(*steps: Step) -> None:
    """Report (None: delete) objects so many days ago."""
    for ago, kind, number, state in steps:
        made = (
            objects.report(kind, number, state) if state is not None else objects.delete(kind, number)
        ).change
        assert made
        with connection.cursor() as cursor:
            at = timezone.now() - timedelta(days=ago)
            cursor.execute("UPDATE events_change SET reported_at = %s WHERE id = %s", [at, made.pk])
            row = "UPDATE events_billingobject SET reported_at = %s, created_at = least(created_at, %s)"
            cursor.execute(f"{row} WHERE kind = %s AND external_id = %s", [at, at, kind, number])


def rehearse(trigger: Trigger, days: int = 30) -> BackTest:
    test = back_test.start(trigger, days)
    assert back_test.carry_out(test.pk)
    test.refresh_from_db()
    assert (test.status, test.error) == ("done", "")
    assert fired() == []
    return test


def invoice(ago: int, due: int, balance: str, **more: Any) -> Step:
    state = {"due_date": day(due), "balance": balance, "account": {"id": "1"}, **more}
    return ago, "invoice", "7", state


OPEN = [("balance", "gt", "0")]
ACCOUNT: Step = (40, "account", "1", {"status": "open", "timezone": "UTC"})
INVOICES: dict[str, tuple[list[Step], Any, int]] = {
    "unpaid all along": ([invoice(20, 10, "5")], OPEN, 1),
    "paid in time": ([invoice(20, 10, "5"), invoice(12, 10, "0")], OPEN, 0),
    "paid late": ([invoice(20, 10, "5"), invoice(3, 10, "0")], OPEN, 1),
    "open again later": ([invoice(20, 10, "0"), invoice(3, 10, "5")], OPEN, 1),
    "deleted later": ([invoice(20, 10, "5"), (3, "invoice", "7", None)], OPEN, 1),
    "deleted before": ([invoice(20, 10, "5"), (15, "invoice", "7", None)], OPEN, 0),
    "put off in time": ([invoice(20, 10, "5"), invoice(12, -5, "5")], OPEN, 0),
    "reported late": ([invoice(2, 10, "5")], OPEN, 1),
    "long ago": ([invoice(60, 50, "5")], OPEN, 0),
    "its account closed since": (
        [invoice(20, 10, "5"), (3, "account", "1", {"status": "closed"})],
        [("account.status", "is", "open")],
        1,
    ),
    "its account closed before": (
        [invoice(20, 10, "5"), (12, "account", "1", {"status": "closed"})],
        [("account.status", "is", "open")],
        0,
    ),
}


@pytest.mark.usefixtures("old_months")
@pytest.mark.parametrize("case", INVOICES)
def test_a_passed_date_is_judged_on_what_the_object_was_then(rules: Rules, case: str) -> None:
    steps, conditions, expected = INVOICES[case]
    trigger = rules("date", conditions)
    report_then(ACCOUNT, *steps)
    found = rehearse(trigger)
    assert (found.fired, found.result["notes"]) == (expected, [])


@pytest.mark.usefixtures("old_months")
def test_an_example_shows_what_was_owed_then(rules: Rules) -> None:
    trigger = rules("date", OPEN)
    report_then(ACCOUNT, invoice(20, 10, "5.00"), (20, "invoice", "8", invoice(20, 15, "7.00")[3]))
    report_then(invoice(3, 10, "0"), (3, "invoice", "8", invoice(3, 15, "0")[3]))
    found = rehearse(trigger)
    assert found.fired == 2
    [example] = [each["data"] for each in found.result["examples"] if each["object"] == "invoice:7"]
    assert (example["invoice"]["balance"], example["account"]["total_overdue"]) == ("5.00", "12.00")


def test_where_changes_are_no_longer_kept_that_is_told(rules: Rules) -> None:
    trigger = rules("date", OPEN)
    report_then((200, *ACCOUNT[1:]), invoice(200, 100, "5"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM events_change")
    found = rehearse(trigger, 120)
    assert found.fired == 1
    [note] = found.result["notes"]
    assert "1 object had to be judged as later known" in note


@pytest.mark.usefixtures("old_months")
def test_a_commitment_is_judged_at_the_close_of_its_period(rules: Rules) -> None:
    trigger = rules("commitment")
    closed = {"period_start": day(40), "period_end": day(10)}
    following = {"period_start": day(9), "period_end": day(-20)}

    def contract(ago: int, commitment: dict[str, str], actual: str) -> Step:
        tiers = [{"number": 1, "committed": "100", "actual": actual}]
        return ago, "contract", "3", {"commitment": commitment, "tiers": tiers, "account": {"id": "1"}}

    report_then(ACCOUNT, contract(25, closed, "60"), contract(5, following, "200"))
    found = rehearse(trigger)
    assert found.fired == 1
    assert found.result["examples"][0]["data"]["tier"]["shortfall"] == "40"


@pytest.mark.usefixtures("old_months")
@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], 1),
        ([(2, "sim", "8901", {"state": "Suspended"})], 1),
        ([(2, "sim", "8901", None)], 1),
        ([(15, "sim", "8901", {"state": "Suspended"})], 0),
        ([(15, "sim", "8901", None)], 0),
        ([(2, "sim", "8901", {"state": "Active", "plan": "slow"})], 0),  # 60 days are not over
    ],
)
def test_absence_is_judged_on_what_the_object_was_when_it_became_too_long(
    rules: Rules, later: list[Step], expected: int
) -> None:
    trigger = rules("inactivity", [("state", "is", "Active")], plans={"slow": 60})
    report_then((50, "sim", "8901", {"state": "Active"}), *later)
    Activity.objects.create(
        kind="sim", activity="usage", external_id="8901", last_at=timezone.now() - timedelta(days=40)
    )
    found = rehearse(trigger)
    assert found.fired == expected
    assert "spells that ended since are not counted" in found.result["notes"][0]


@pytest.mark.parametrize(("numbers", "expected"), [(["INV-1"], 0), (["INV-9"], 1)])
def test_what_an_event_withdrew_would_not_have_fired(
    rules: Rules, types: Any, numbers: list[str], expected: int
) -> None:
    trigger = rules("schedule", offset_days=1, at_time="00:00", date_path="")
    trigger.cancellations.create(
        event_type=types["payment.processed"], own_path="invoice.number", other_path="payment.invoice_numbers"
    )
    sample = types["invoice.delivered"].sample
    at = timezone.now() - timedelta(days=2)
    publish(
        "invoice.delivered", {**sample, "invoice": {**sample["invoice"], "number": "INV-1"}}, occurred_at=at
    )
    paid = types["payment.processed"].sample
    payment = {**paid["payment"], "invoice_numbers": numbers}
    publish("payment.processed", {**paid, "account": sample["account"], "payment": payment}, occurred_at=at)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_event SET created_at = now() - interval '50 hours'")
    before = len(fired())
    test = back_test.start(trigger, 30)
    back_test.carry_out(test.pk)
    test.refresh_from_db()
    assert (test.status, test.fired, len(fired())) == ("done", expected, before)


def test_examples_show_the_mails_and_callouts_that_would_go_out(
    rules: Rules, types: Any, client: Any, admin_user: Any
) -> None:
    client.force_login(admin_user)
    trigger = rules("change", [("state", "is", "Suspended")])
    page = reverse("admin:events_trigger_back_test", args=[trigger.pk])
    objects.report("account", "1", {"name": "EXAMPLE-1"})
    objects.report("service", "4", {"state": "Suspended", "account": {"id": "1"}})
    trigger.on_create = True
    trigger.save()
    assert (
        "No subscription would receive it yet; this is its payload."
        in client.post(page, {"days": 3}, follow=True).text
    )
    SmtpProfileFactory()
    EmailSubscriptionFactory(
        name="Team mail",
        email_template__subject="Suspended: {{ service.id }}",
        email_template__text="Look at {{ service.id }}.",
    )
    callout: Any = WebhookSubscriptionFactory(name="CRM")
    secret = Parameter(subscription=callout, name="key", source="static", value="hush-hush", is_secret=True)
    secret.full_clean()
    secret.save()
    other: Any = WebhookSubscriptionFactory(name="Others")
    other.filters.create(token="service.id", operator="is", value="5")
    text = client.get(page).text
    assert "Team mail: Mail to ops@example.com" in text
    assert "Subject: <strong>Suspended: 4</strong>" in text
    assert "Look at 4." in text
    assert f"CRM: POST to {callout.endpoint}" in text
    assert "hush-hush" not in text
    assert "Others" not in text


def test_one_whose_worker_died_is_interrupted_and_goes_on_when_its_task_is_handed_out_again(
    rules: Rules, client: Any, admin_user: Any
) -> None:
    client.force_login(admin_user)
    trigger = rules("change", [("state", "is", "Suspended")])
    test = back_test.start(trigger, 3)
    page = reverse("admin:events_trigger_back_test", args=[trigger.pk])
    assert back_test.end_interrupted() == 0
    BackTest.objects.update(seen_at=timezone.now() - timedelta(minutes=3))
    response = client.get(page)
    assert ("Interrupted: Nobody has gone on with it" in response.text, "Refresh" in response.headers) == (
        True,
        False,
    )
    tasks.run_back_test(test.pk)
    test.refresh_from_db()
    assert (test.status, test.error) == ("done", "")
    BackTest.objects.update(status="interrupted", created_at=timezone.now() - timedelta(hours=2))
    tasks.run_back_test(test.pk)
    test.refresh_from_db()
    assert test.status == "interrupted"
