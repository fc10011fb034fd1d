"""The start page says what fails now and leads there; one search box answers what somebody on the telephone asks."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models import BillingObject, Event, EventType, LedgerEntry, QuarantinedEvent, Trigger, TriggerDay
from notifications import first_steps, trouble
from notifications.models import Circuit, Delivery, Endpoint, OptOut, Subscription, Suppression
from smtpprofiles.models import SmtpProfile
from tests.factories import EmailSubscriptionFactory, EndpointFactory, QueueFactory, SmtpProfileFactory

INDEX = "/admin/"
NOW = timezone.now()


def staff(client: Client, *permissions: str) -> Client:
    """Log in somebody who may do no more than this."""
    user = get_user_model().objects.create_user("support", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def event(code: str = "invoice.posted", **values: Any) -> Event:
    return Event.objects.create(
        **{"type": EventType.objects.get(code=code), "data": "{}", "occurred_at": NOW, **values}
    )


def delivery(subscription: Subscription, **values: Any) -> Delivery:
    """A settled delivery, unless `values` say otherwise."""
    given = {"event": values.pop("event", None) or event(), "status": "delivered", "settled_at": NOW}
    channel = subscription.endpoint.channels.first() if subscription.endpoint else None
    return Delivery.objects.create(subscription=subscription, **{"channel": channel, **given, **values})


def lines(client: Client) -> dict[str, str]:
    """Return what the page says fails, each with where it leads."""
    return {line.text: line.url for line in client.get(INDEX).context["troubles"]}


@pytest.fixture
def calm(monkeypatch: Any) -> None:
    """Workers and schedules are well: tests run none."""
    monkeypatch.setattr("project.start.lines", lambda _late: [])


@pytest.fixture
def broken(event_types: None, hooks: Any, calm: None) -> Any:
    """One of each kind of trouble."""
    failing = EndpointFactory(name="failing")
    Circuit.objects.filter(endpoint=failing).update(opened_at=NOW, probe_at=NOW, failing_since=NOW)
    EndpointFactory(name="asleep", is_active=False)
    SmtpProfileFactory(paused_reason="535 Bad password")
    QueueFactory(name="stopped", is_paused=True)
    held = {"status": "held", "settled_at": None}
    delivery(hooks, **held, hold_cause="exhausted")
    delivery(hooks, **held, hold_cause="paused")
    delivery(hooks, status="dead")
    delivery(hooks, status="dead", settled_at=NOW - timedelta(days=2))
    QuarantinedEvent.objects.create(event=event(), error="ValueError")
    Suppression.objects.create(address="gone@example.com", reason="bounced")
    trigger = Trigger.objects.first()
    TriggerDay.objects.create(trigger=trigger, day=NOW.date(), outcome="faulty", count=3)
    return hooks


def test_each_kind_of_trouble_is_counted_and_leads_to_its_rows(console: Client, broken: Any) -> None:
    found = lines(console)
    assert list(found) == [
        "1 endpoint fails",
        "1 delivery waits for a person",
        "1 delivery was given up in the last day",
        "1 event in quarantine",
        "3 evaluations of triggers failed since yesterday",
        "1 endpoint is paused",
        "1 SMTP profile is paused",
        "1 queue is paused",
        "1 address was suppressed in the last day",
    ]
    listed = {text: console.get(url).context["cl"].result_count for text, url in found.items()}
    assert listed == {
        **dict.fromkeys(found, 1),
        "1 delivery was given up in the last day": 2,
        "3 evaluations of triggers failed since yesterday": 0,
    }


def test_nothing_is_told_to_who_may_not_see_it(client: Client, broken: Any) -> None:
    assert list(lines(staff(client, "view_endpoint"))) == ["1 endpoint fails", "1 endpoint is paused"]


def test_an_idle_system_says_that_nothing_fails(console: Client, calm: None) -> None:
    assert "Nothing." in console.get(INDEX).text


def test_workers_that_are_not_there_are_told(console: Client) -> None:
    assert any(text.startswith("Cluster: 0 delivery clusters") for text in lines(console))


def test_the_first_steps_show_what_is_done_and_go_when_dismissed(
    console: Client, event_types: None, calm: None
) -> None:
    def done() -> list[bool]:
        return [each["step"].is_done for each in console.get(INDEX).context["first_steps"]]

    Trigger.objects.all().update(is_active=False)
    assert done() == [False] * 5
    SmtpProfileFactory()
    assert done() == [True, *[False] * 4]
    assert console.get(reverse("admin:dismiss_first_steps")).status_code == 405
    assert console.post(reverse("admin:dismiss_first_steps")).status_code == 302
    assert done() == []
    assert [step.is_done for step in first_steps.steps()] == [True, *[False] * 4]


def test_the_first_steps_are_not_for_who_can_do_none(client: Client, event_types: None, calm: None) -> None:
    assert staff(client, "view_delivery").get(INDEX).context["first_steps"] == []


def find(client: Client, term: str, **more: Any) -> Any:
    return client.get(reverse("admin:find"), {"q": term, **more})


def test_ids_lead_straight_to_their_pages(console: Client, event_types: None, hooks: Any) -> None:
    row = delivery(hooks)
    assert find(console, row.public_id).url == reverse("admin:notifications_delivery_change", args=[row.pk])
    url = reverse("admin:events_event_change", args=[row.event_id])
    assert find(console, f" {row.event.public_id} ").url == url
    assert "Nothing is found for" in find(console, "dlv_0").text


@pytest.mark.parametrize(
    "term", ["7001", "INV-7777", "Müller Werke", "müller", "account:7001", "hooks", "inv-77"]
)
def test_a_name_or_number_leads_to_what_became_of_it(
    console: Client, event_types: None, hooks: Any, term: str
) -> None:
    data = (
        '{"invoice": {"number": "INV-7777"}, "account": {"id": "7001", "display_name": "M\\u00fcller Werke"}}'
    )
    told = event(data=data, account="7001", ordering_key="account:7001")
    delivery(hooks, event=told)
    event(data='{"invoice": {"number": "INV-8"}}', account="8")
    page = find(console, term)
    if term == "hooks":
        assert [each["row"] for each in page.context["named"]] == [hooks]
        return
    [story] = page.context["stories"]
    assert (story["event"].pk, [each["to"] for each in story["deliveries"]]) == (told.pk, ["main"])
    assert "Delivered at" in page.text


def test_an_event_that_nobody_got_says_why_of_each_subscription(
    console: Client, event_types: None, hooks: Any
) -> None:
    """The filter that excluded it, the operation, the types, being off, being made later, and the queue."""
    wanted = EventType.objects.get(code="invoice.posted")
    others: dict[str, Any] = {
        name: EmailSubscriptionFactory(name=name, queue=hooks.queue) for name in ("ops", "types", "off")
    }
    hooks.filters.create(token="invoice.currency", operator="is", value="CHF")
    Subscription.objects.filter(name="ops").update(on_create=False)
    others["types"].event_types.set([EventType.objects.get(code="refund.processed")])
    Subscription.objects.filter(name="off").update(is_active=False)
    elsewhere: Any = EmailSubscriptionFactory(name="elsewhere", queue__name="empty")
    elsewhere.event_types.set([wanted])
    elsewhere.queue.routes.all().delete()
    lost = event(data='{"invoice": {"currency": "CAD"}}', account="7001")
    EmailSubscriptionFactory(name="later", queue=hooks.queue)
    page = console.get(reverse("admin:events_event_change", args=[lost.pk]))
    for name, reason in {
        "hooks": "Its filter “invoice.currency is CHF” does not hold: the event has “CAD” there.",
        "ops": "The event is a create, which is not ticked in it.",
        "types": "It wants other event types: refund.processed.",
        "off": "It is switched off (not active), so no event is for it.",
        "later": "after the event.",
        "elsewhere": "It reads the queue empty, and invoice.posted does not flow into that.",
    }.items():
        assert f">{name}</a>: " in page.text, name
        assert reason in page.text, name
    found = find(console, "7001")
    assert "Nobody was told." in found.text
    assert "the event has “CAD” there." in found.text


def test_who_left_or_is_suppressed_is_found_by_the_address(console: Client, event_types: None) -> None:
    mails = EmailSubscriptionFactory(name="letters")
    Suppression.objects.create(address="a@example.com", reason="complained")
    OptOut.objects.create(address="a@example.com", subscription=mails)
    delivery(
        mails, recipient="a@example.com", status="suppressed", last_error="Its owner complained of spam."
    )
    text = find(console, "A@example.com").text
    assert "Its owner complained of spam" in text
    assert "It left the mails of" in text
    assert "Not sent: Its owner complained of spam." in find(console, "a@example.com").text


def test_a_trigger_that_did_not_fire_says_why(console: Client, event_types: None) -> None:
    trigger = Trigger.objects.first()
    invoice = BillingObject.objects.create(kind="invoice", external_id="50042", state={"number": "INV-9"})
    LedgerEntry.objects.create(
        trigger=trigger, outcome="not_met", kind="invoice", external_id="50042", detail="balance is 0.00"
    )
    for term in ("INV-9", "50042", "invoice:50042"):
        page = find(console, term)
        assert "balance is 0.00" in page.text, term
        assert [row.pk for row in page.context["objects"]] == [invoice.pk]


def test_a_search_shows_only_what_its_user_may_see(client: Client, event_types: None, hooks: Any) -> None:
    told = event(account="7001", data='{"invoice": "INV-7777"}')
    delivery(hooks, event=told)
    staff(client, "view_subscription")
    for term in ("7001", "INV-7777"):
        page = find(client, term)
        assert (page.context["stories"], page.context["accounts"]) == ([], [])
        assert told.public_id not in page.text
    assert find(client, told.public_id).status_code == 200
    client.logout()
    assert find(client, "7001").status_code == 302


@pytest.mark.parametrize("term", ["%", "a_b%c", "\\", "x" * 500, "'; --", "evt_zzz", "kind:", "\0"])
def test_any_text_can_be_looked_for(console: Client, event_types: None, term: str) -> None:
    event(data='{"a": "axbyc"}')
    page = find(console, term)
    assert page.status_code == 200
    assert page.context["stories"] == []


ROWS = 20_000
_FILL = """
INSERT INTO events_event (uid, type_id, source, account, ordering_key, idempotency_key, data, occurred_at)
SELECT gen_random_uuid(), t.id, 'posted', 'a' || n %% 5000, 'account:a' || n %% 5000, '', '{"n": ' || n || '}', now()
FROM generate_series(1, %(rows)s) n, (SELECT min(id) AS id FROM events_eventtype) t;
INSERT INTO notifications_delivery (uid, event_id, subscription_id, recipient, channel_id, status, hold_cause,
  attempt_count, crash_count, last_error, settled_at)
SELECT gen_random_uuid(), e.id, %(subscription)s, '', %(channel)s,
  CASE WHEN e.id %% 50 = 0 THEN 'dead' WHEN e.id %% 3 = 0 THEN 'held' ELSE 'delivered' END,
  CASE WHEN e.id %% 50 <> 0 AND e.id %% 3 = 0 THEN 'paused' ELSE '' END, 1, 0, '',
  CASE WHEN e.id %% 50 <> 0 AND e.id %% 3 = 0 THEN NULL ELSE now() END
FROM events_event e;
INSERT INTO notifications_auditentry (actor_name, action, subject, name, reason, changes, origin)
SELECT 'admin', 'endpoint.pause', 'endpoint ' || n, 'e' || n, '', '[]', '' FROM generate_series(1, %(rows)s) n;
INSERT INTO notifications_auditentry (actor_name, action, subject, name, reason, changes, origin)
VALUES ('admin', 'rare.thing', 'rare 1', '', '', '[]', '');
INSERT INTO notifications_suppression (address, reason, detail, said_by, created_by, released_by)
SELECT 'a' || n || '@example.com', 'bounced', '', '', '', '' FROM generate_series(1, %(rows)s) n;
ANALYZE events_event, notifications_delivery, notifications_auditentry, notifications_suppression
"""
_LARGE = ("events_event", "notifications_delivery", "notifications_auditentry", "notifications_suppression")


def test_no_page_reads_a_large_table_from_end_to_end(console: Client, event_types: None, hooks: Any) -> None:
    """Each statement of the start page, of a search and of the audit list is explained on filled tables."""
    with connection.cursor() as cursor:
        channel = hooks.endpoint.channels.first().pk
        cursor.execute(_FILL, {"rows": ROWS, "subscription": hooks.pk, "channel": channel})
    with CaptureQueriesContext(connection) as captured:
        assert console.get(INDEX).status_code == 200
        for term in ("a77", "a77@example.com", "account:a77", "INV-77", "main"):
            assert find(console, term).status_code == 200
        audit = reverse("admin:notifications_auditentry_changelist")
        for query in ("", "?q=e77", "?kind=rare", "?who=1", "?action=rare.thing"):
            assert console.get(f"{audit}{query}").status_code == 200
    asked = [each["sql"] for each in captured.captured_queries if each["sql"].startswith(("SELECT", "WITH"))]
    explained = 0
    with connection.cursor() as cursor:
        for sql in asked:
            if not any(table in sql for table in _LARGE):
                continue
            cursor.execute(f"EXPLAIN {sql}")
            plan = [row[0] for row in cursor.fetchall()]
            explained += 1
            for number, line in enumerate(plan):
                if re.search(rf"Seq Scan on ({'|'.join(_LARGE)})\b", line):
                    # The first rows of all, as many as are counted, are no search.
                    is_cut = "Limit" in plan[number - 1] and "Filter" not in "".join(plan[number + 1 :])
                    assert is_cut, (sql, plan)
    assert explained > 30
    assert Endpoint.objects.count() == 1
    assert SmtpProfile.objects.count() == 0


def test_counts_stop_at_a_thousand(event_types: None, hooks: Any) -> None:
    made = event()
    Suppression.objects.bulk_create(
        Suppression(address=f"a{number}@example.com", reason="bounced")
        for number in range(trouble.LIMIT + 50)
    )
    [figure] = trouble.figures(lambda model: model is Suppression)
    assert figure.text == "1,000+ addresses were suppressed in the last day"
    assert made.pk
