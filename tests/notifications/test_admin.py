"""The console's pages of subscriptions, endpoints, templates and deliveries, as a browser uses them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.ids import uuid7
from events.models import Event, EventType, Queue, Subscriber
from notifications import operate
from notifications.models import (
    Attempt,
    AuditEntry,
    Channel,
    Delivery,
    EmailTemplate,
    Endpoint,
    Lane,
    RenderedBody,
    Subscription,
)
from smtpprofiles.models import SmtpProfile
from tests import console_form, tables


@pytest.fixture
def types(db: None) -> dict[str, EventType]:
    tables.fill(tables.CATALOG)
    return {each.code: each for each in EventType.objects.all()}


@pytest.fixture
def billing(types: dict[str, EventType]) -> Queue:
    return Queue.objects.get(name="billing")


@pytest.fixture
def console(client: Client, admin_user: Any) -> Client:
    client.force_login(admin_user)
    return client


@pytest.fixture
def subscriber(db: None) -> Subscriber:
    return Subscriber.objects.create(name="Example Telecom")


@pytest.fixture
def endpoint(subscriber: Subscriber) -> Endpoint:
    return Endpoint.objects.create(subscriber=subscriber, name="main", base_url="https://hooks.example.com")


@pytest.fixture
def template(types: dict[str, EventType]) -> EmailTemplate:
    template = EmailTemplate.objects.create(name="Posted", subject="{{ invoice.number }}", text="Hello")
    template.event_types.add(types["invoice.posted"])
    return template


@pytest.fixture
def hooks(endpoint: Endpoint, billing: Queue) -> Subscription:
    return Subscription.objects.create(
        subscriber=endpoint.subscriber, name="hooks", queue=billing, endpoint=endpoint
    )


def errors(response: Any) -> str:
    assert response.status_code == 200, "it was accepted"
    return " ".join(re.findall(r"errorlist[^>]*>(.*?)</ul>", response.text, re.DOTALL)).replace("&#x27;", "'")


class TestEndpoints:
    url = "admin:notifications_endpoint_add"

    def form(self, console: Client, subscriber: Subscriber, **changes: Any) -> dict[str, Any]:
        chosen = {
            "subscriber": subscriber.pk,
            "name": "main",
            "base_url": "https://hooks.example.com",
            **changes,
        }
        return console_form.read(console.get(reverse(self.url)), "endpoint", **chosen)

    @pytest.mark.parametrize(
        ("base_url", "fault"),
        [
            ("http://hooks.example.com", "The base URL starts with https://"),
            ("https://hooks.example.com:8443", "No port may be written"),
            ("https://hooks.example.com:443", "No port may be written"),
            ("https://hooks.example.com/" + "a" * 2023, "The base URL has 2,049 characters; at most 2,048"),
            ("https://user:pw@hooks.example.com", "holds no user name or password"),
            ("https://10.0.0.1", "10.0.0.1 is an address"),
        ],
        ids=["http", "port", "standard port", "2,049 characters", "user", "address"],
    )
    def test_a_base_url_at_fault_is_refused_at_its_field(
        self, console: Client, subscriber: Subscriber, base_url: str, fault: str
    ) -> None:
        response = console.post(reverse(self.url), self.form(console, subscriber, base_url=base_url))
        assert fault in response.context["adminform"].form.errors["base_url"][0]
        assert fault in errors(response)
        assert not Endpoint.objects.exists()

    def test_2048_characters_are_accepted(self, console: Client, subscriber: Subscriber) -> None:
        base_url = "https://hooks.example.com/" + "a" * 2022
        response = console.post(reverse(self.url), self.form(console, subscriber, base_url=base_url))
        assert "signing secret" in response.text
        assert len(Endpoint.objects.get().base_url) == 2048

    def test_the_signing_secret_is_shown_once_and_on_no_other_page(
        self, console: Client, subscriber: Subscriber
    ) -> None:
        response = console.post(reverse(self.url), self.form(console, subscriber, path="/hook"))
        endpoint = Endpoint.objects.get()
        assert endpoint.secret in response.text
        assert "no-store" in response["Cache-Control"]
        assert not [each for each in Session.objects.all() if endpoint.secret in str(each.get_decoded())]
        change = reverse("admin:notifications_endpoint_change", args=[endpoint.pk])
        html = console.get(change).text
        assert "https://hooks.example.com/hook" in html
        assert "whsec_" not in html
        assert console.post(change, console_form.read(console.get(change), "endpoint")).status_code == 302
        before, endpoint = endpoint.secret, Endpoint.objects.get()
        assert endpoint.secret == before

    def test_a_paused_endpoint_says_why_and_is_resumed_by_a_button(
        self, console: Client, endpoint: Endpoint
    ) -> None:
        endpoint.paused_reason = "It answered 410 Gone."
        endpoint.save()
        assert Channel.objects.filter(is_paused=True).count() == 2
        assert (
            "paused: It answered 410 Gone."
            in console.get(reverse("admin:notifications_endpoint_changelist"), {"status": "paused"}).text
        )
        button = reverse("admin:notifications_endpoint_do", args=[endpoint.pk, "resume"])
        shown = console.post(button, {"reason": "receiver is back"})
        assert "paused: It answered 410 Gone." in shown.text
        assert Channel.objects.filter(is_paused=True).count() == 2, "so far it only shows what waits"
        resume = reverse("admin:notifications_endpoint_resume")
        response = console.post(resume, console_form.read(shown, "resume"), follow=True)
        assert "1 endpoint resumed." in response.text
        endpoint.refresh_from_db()
        assert endpoint.is_open
        assert Channel.objects.filter(is_paused=True).count() == 0
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.reason) == ("endpoint.resume", "receiver is back")


class TestSubscriptions:
    url = "admin:notifications_subscription_add"

    def form(self, console: Client, subscriber: Subscriber, queue: Queue, **changes: Any) -> dict[str, Any]:
        chosen = {"subscriber": subscriber.pk, "name": "new", "queue": queue.pk, **changes}
        return console_form.read(console.get(reverse(self.url)), "subscription", **chosen)

    def test_a_webhook_subscription_is_made_by_its_form(
        self, console: Client, endpoint: Endpoint, billing: Queue, types: dict[str, EventType]
    ) -> None:
        form = self.form(
            console,
            endpoint.subscriber,
            billing,
            endpoint=endpoint.pk,
            event_types=[types["invoice.posted"].pk],
            **{
                "parameters-TOTAL_FORMS": "2",
                "parameters-0-name": "number",
                "parameters-0-source": "token",
                "parameters-0-value": "invoice.number",
                "parameters-0-placement": "query",
                "parameters-1-name": "total",
                "parameters-1-source": "liquid",
                "parameters-1-value": "{{ invoice.total | money: invoice.currency }}",
                "parameters-1-placement": "body",
                "filters-TOTAL_FORMS": "1",
                "filters-0-token": "invoice.currency",
                "filters-0-operator": "is",
                "filters-0-value": "EUR",
            },
        )
        response = console.post(reverse(self.url), form)
        assert response.status_code == 302, errors(response)
        made = Subscription.objects.get()
        assert [each.code for each in made.event_types.all()] == ["invoice.posted"]
        assert made.operations == {"create", "update", "delete"}
        assert (made.parameters.count(), made.filters.count(), made.recipients.count()) == (2, 1, 0)

    def test_an_email_subscription_is_made_by_its_form(
        self,
        console: Client,
        subscriber: Subscriber,
        template: EmailTemplate,
        billing: Queue,
        types: dict[str, EventType],
        admin_user: Any,
    ) -> None:
        group = Group.objects.create(name="Billing team")
        form = self.form(
            console,
            subscriber,
            billing,
            email_template=template.pk,
            event_types=[types["invoice.posted"].pk],
            **{
                "recipients-TOTAL_FORMS": "4",
                "recipients-0-user": admin_user.pk,
                "recipients-1-group": group.pk,
                "recipients-2-address": "ops@example.com",
                "recipients-3-token": "contact.email",
            },
        )
        response = console.post(reverse(self.url), form)
        assert response.status_code == 302, errors(response)
        assert Subscription.objects.get().recipients.count() == 4

    @pytest.mark.parametrize(
        ("changes", "faults"),
        [
            ({}, ["Choose an endpoint to call (webhook), or below an email template"]),
            ({"endpoint": "E", "email_template": "T"}, ["An endpoint is chosen too. Choose one of them"]),
            ({"email_template": "T"}, ["Add at least one recipient"]),
            (
                {"endpoint": "E", "recipients-0-address": "ops@example.com"},
                ["Recipients are for email only. Remove them"],
            ),
            ({"endpoint": "E", "profile": "P"}, ["Leave this empty: an SMTP profile is for email only."]),
            (
                {"endpoint": "E", "parameters-TOTAL_FORMS": "1", "parameters-0-value": "invoice.totl"},
                ["“invoice.totl” cannot be used here", "Did you mean “invoice.total”?"],
            ),
            (
                {"endpoint": "E", "parameters-TOTAL_FORMS": "1", "parameters-0-value": "contact.email"},
                ["contact tokens exist for email only, never for webhooks"],
            ),
            (
                {
                    "endpoint": "E",
                    "parameters-TOTAL_FORMS": "1",
                    "parameters-0-name": "Authorization",
                    "parameters-0-placement": "header",
                    "parameters-0-value": "invoice.number",
                },
                ["The header Authorization is set by the callout itself."],
            ),
            (
                {"endpoint": "E", "filters-TOTAL_FORMS": "1", "filters-0-token": "refund.amount"},
                ["“refund.amount” cannot be used here: invoice.posted does not offer it."],
            ),
            (
                {
                    "email_template": "T",
                    "recipients-0-token": "account.id",
                    "recipients-0-address": "a@example.com",
                },
                ["Fill in exactly one of user, group, address and token."],
            ),
        ],
    )
    def test_a_subscription_at_fault_is_refused_with_what_would_be_right(
        self,
        console: Client,
        endpoint: Endpoint,
        template: EmailTemplate,
        billing: Queue,
        types: dict[str, EventType],
        changes: dict[str, str],
        faults: list[str],
    ) -> None:
        profile = SmtpProfile.objects.create(
            name="Main", host="mail.example.com", from_address="a@example.com"
        )
        rows = {"E": endpoint.pk, "T": template.pk, "P": profile.pk}
        form = self.form(
            console,
            endpoint.subscriber,
            billing,
            event_types=[types["invoice.posted"].pk],
            **{
                "parameters-0-name": "a",
                "parameters-0-source": "token",
                "parameters-0-placement": "body",
                "filters-0-operator": "is",
                "filters-0-value": "1",
                **{name: rows.get(value, value) for name, value in changes.items()},
            },
        )
        shown = errors(console.post(reverse(self.url), form))
        assert all(fault in shown for fault in faults), shown
        assert not Subscription.objects.exists()

    def test_an_endpoint_of_another_subscriber_is_refused(
        self, console: Client, endpoint: Endpoint, billing: Queue
    ) -> None:
        other = Subscriber.objects.create(name="Another")
        shown = errors(
            console.post(reverse(self.url), self.form(console, other, billing, endpoint=endpoint.pk))
        )
        assert "This endpoint belongs to Example Telecom" in shown

    def test_event_types_that_never_come_are_warned_of(
        self, console: Client, endpoint: Endpoint, types: dict[str, EventType]
    ) -> None:
        bulk = Queue.objects.get(name="bulk")
        form = self.form(
            console,
            endpoint.subscriber,
            bulk,
            endpoint=endpoint.pk,
            event_types=[types["invoice.posted"].pk, types["account.cancelled"].pk],
        )
        del form["on_delete"]
        html = console.post(reverse(self.url), form, follow=True).text
        assert "Not in the queue bulk, so they never come: account.cancelled, invoice.posted." in html
        assert "Never sent, as their operation is not ticked: account.cancelled." in html

    def test_no_pop_up_adds_an_endpoint_because_it_would_close_over_the_secret(
        self, console: Client, endpoint: Endpoint
    ) -> None:
        html = console.get(reverse(self.url)).text
        assert 'id="add_id_subscriber"' in html
        assert 'id="add_id_endpoint"' not in html


class TestEmailTemplates:
    url = "admin:notifications_emailtemplate_add"

    def form(self, console: Client, *types: EventType, **changes: Any) -> dict[str, Any]:
        chosen = {"name": "Posted", "event_types": [each.pk for each in types], **changes}
        return console_form.read(console.get(reverse(self.url)), "emailtemplate", **chosen)

    def test_an_illegal_token_is_refused_with_the_one_that_was_meant(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        form = self.form(
            console,
            types["invoice.posted"],
            subject="Invoice {{ invoice.numbr }}",
            text="Hello",
            html="{% if %}",
        )
        response = console.post(reverse(self.url), form)
        found = response.context["adminform"].form.errors
        assert "“invoice.numbr” cannot be used here: invoice.posted does not offer it." in found["subject"][0]
        assert "Did you mean “invoice.number”?" in found["subject"][0]
        assert found["html"] == ["Line 1: missing expression"]
        assert not EmailTemplate.objects.exists()
        only_text = form | {"subject": "Invoice", "text": "{{ invoice.numbr }}", "html": ""}
        found = console.post(reverse(self.url), only_text).context["adminform"].form.errors
        assert [len(messages) for messages in found.values()] == [1]  # not that it is missing as well

    def test_a_saved_template_lists_the_tokens_that_its_types_share(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        form = self.form(
            console,
            types["invoice.posted"],
            types["payment.failed"],
            subject="{{ account.name }}",
            text="Dear {{ contact.first_name }}",
        )
        response = console.post(reverse(self.url), form)
        assert response.status_code == 302, errors(response)
        change = reverse("admin:notifications_emailtemplate_change", args=[EmailTemplate.objects.get().pk])
        html = console.get(change).text
        assert "<code>{{ contact.email }}</code>" in html
        assert "<code>{{ invoice.total }}</code>" not in html


# Deliveries.


def make_event(types: dict[str, EventType], account: str = "1001") -> Event:
    return Event.objects.create(
        type=types["invoice.posted"],
        data="{}",
        account=account,
        ordering_key=f"account:{account}",
        occurred_at=timezone.now(),
    )


def make_delivery(subscription: Subscription, event: Event, **values: Any) -> Delivery:
    values.setdefault(
        "due_at", timezone.now() if values.get("status", "pending") in ("pending", "retrying") else None
    )
    if values.get("status") in ("delivered", "dead", "cancelled", "skipped"):
        values.setdefault("settled_at", timezone.now())
    channel = values.pop("channel", None) or Channel.objects.get(endpoint=subscription.endpoint, shard=0)
    return Delivery.objects.create(subscription=subscription, event=event, channel=channel, **values)


@pytest.fixture
def lane(hooks: Subscription, types: dict[str, EventType]) -> Lane:
    """Three deliveries; the first was given up, and blocks the others."""
    channel = Channel.objects.get(endpoint=hooks.endpoint, shard=0)
    lane = Lane.objects.create(
        subscription=hooks, key="account:1001", channel=channel, tail=3, next_sequence=1
    )
    for number in (1, 2, 3):
        held = {"status": "held", "hold_cause": "exhausted", "last_error": "HTTP 500", "attempt_count": 10}
        make_delivery(hooks, make_event(types), lane=lane, sequence=number, **(held if number == 1 else {}))
    Lane.objects.update(blocked_by=lane.deliveries.get(sequence=1))
    Channel.objects.update(due_at=None)
    lane.refresh_from_db()
    return lane


def page(delivery: Delivery) -> str:
    return reverse("admin:notifications_delivery_change", args=[delivery.pk])


def do(console: Client, delivery: Delivery, verb: str, reason: str = "") -> str:
    url = reverse("admin:notifications_delivery_do", args=[delivery.pk, verb])
    response = console.post(url, {"reason": reason}, follow=True)
    assert response.status_code == 200
    return response.text


class TestDeliveryLog:
    def test_a_list_takes_the_same_queries_for_one_row_and_for_many(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        names = ("delivery", "lane", "channel", "attempt", "subscription", "endpoint", "emailtemplate")
        urls = [reverse(f"admin:notifications_{name}_changelist") for name in names]
        urls.append(reverse("admin:events_event_changelist"))

        def add(number: int) -> None:
            for index in range(number):
                account = f"{Lane.objects.count()}-{index}"
                channel = Channel.objects.first()
                assert channel
                lane = Lane.objects.create(
                    subscription=hooks, key=account, channel=channel, tail=1, next_sequence=1
                )
                delivery = make_delivery(hooks, make_event(types, account), lane=lane, sequence=1)
                make_attempt(delivery)
                other = Endpoint.objects.create(
                    subscriber=hooks.subscriber, name=account, base_url="https://a.example.com"
                )
                Subscription.objects.create(
                    subscriber=hooks.subscriber, name=account, queue=hooks.queue, endpoint=other
                )

        def counts() -> list[int]:
            found = []
            for url in urls:
                with CaptureQueriesContext(connection) as queries:
                    assert console.get(url).status_code == 200
                found.append(len(queries))
            return found

        add(1)
        counts()
        few = counts()
        add(12)
        assert counts() == few
        assert max(few) <= 14

    @pytest.mark.parametrize("term", ["dlv", "evt", "1001", "account:1001", "ops@example.com"])
    def test_search_finds_exactly(
        self, console: Client, hooks: Subscription, types: dict[str, EventType], term: str
    ) -> None:
        event = make_event(types)
        wanted = make_delivery(hooks, event, recipient="ops@example.com")
        make_delivery(hooks, make_event(types, "2002"), recipient="other@example.com")
        term = {"dlv": wanted.public_id, "evt": event.public_id}.get(term, term)
        url = reverse("admin:notifications_delivery_changelist")
        assert [row.pk for row in console.get(url, {"q": term}).context["cl"].result_list] == [wanted.pk]
        assert console.get(url, {"q": term[:-1]}).context["cl"].result_count == 0

    def test_filters_by_status_medium_queue_and_subscription(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        sending = make_delivery(hooks, make_event(types))
        make_delivery(hooks, make_event(types), status="dead", recipient="ops@example.com")
        Channel.objects.filter(deliveries=sending).update(
            in_flight=[sending.pk], leased_until=timezone.now() + timedelta(minutes=1), owner="worker"
        )
        url = reverse("admin:notifications_delivery_changelist")
        cases: list[tuple[dict[str, Any], int]] = [
            ({"status": "in_flight"}, 1),
            ({"status": "dead"}, 1),
            ({"status": "delivered"}, 0),
            ({"medium": "email"}, 1),
            ({"queue": "billing"}, 2),
            ({"queue": "bulk"}, 0),
            ({"subscription__id__exact": hooks.pk}, 2),
        ]
        for query, expected in cases:
            assert console.get(url, query).context["cl"].result_count == expected, query
        assert "In flight" in console.get(url, {"status": "in_flight"}).text

    def test_the_page_shows_attempts_and_the_exact_body_escaped(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        delivery = make_delivery(hooks, make_event(types), status="delivered", attempt_count=1)
        delivery.refresh_from_db()
        make_attempt(delivery, response_body="<script>alert(1)</script>", status_code=204, duration_ms=37)
        RenderedBody.objects.create(
            delivery=delivery,
            delivery_created_at=delivery.created_at,
            body='{"total": 19.90, "note": "<b>"}',
            headers=[["x-tenant", "a"]],
        )
        html = console.get(page(delivery)).text
        assert "at attempt 1." in html
        for text in ("204", "37 ms", "&lt;script&gt;alert(1)&lt;/script&gt;", "x-tenant: a"):
            assert text in html
        assert "{&quot;total&quot;: 19.90, &quot;note&quot;: &quot;&lt;b&gt;&quot;}" in html
        assert "<script>alert" not in html

    def test_an_email_shows_its_subject_and_raw_text(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        delivery = make_delivery(hooks, make_event(types), recipient="ops@example.com")
        delivery.refresh_from_db()
        raw = "Subject: =?utf-8?q?R=C3=A9sum=C3=A9?=\r\nTo: ops@example.com\r\n\r\nHello"
        RenderedBody.objects.create(delivery=delivery, delivery_created_at=delivery.created_at, body=raw)
        html = console.get(page(delivery)).text
        assert "<strong>Résumé</strong>" in html
        assert "To: ops@example.com" in html

    def test_the_page_says_in_a_sentence_where_it_stands(self, console: Client, lane: Lane) -> None:
        first, second, third = lane.deliveries.order_by("sequence")

        def why(delivery: Delivery) -> str:
            [sentence] = re.findall(r'class="why">(.*?)</p>', console.get(page(delivery)).text, re.DOTALL)
            return str(sentence)

        assert why(first).startswith(
            "Held: All retries are spent; its lane waits for a person. HTTP 500. Retry"
        )
        link = f'<a href="{page(first)}">{first.public_id}</a>'
        assert why(second) == (
            f"Number 2 of its lane: waits behind {link} (number 1 of its lane), which is held: "
            "All retries are spent; its lane waits for a person. HTTP 500."
        )
        endpoint = Endpoint.objects.get()
        endpoint.is_active = False
        endpoint.save()
        url = reverse("admin:notifications_endpoint_change", args=[endpoint.pk])
        assert why(third) == f'Waits: the <a href="{url}">endpoint main</a> is paused.'
        Channel.objects.update(
            in_flight=[third.pk], leased_until=timezone.now() + timedelta(minutes=1), owner="worker"
        )
        assert why(third) == "It is being sent now, as attempt 1."


def make_attempt(delivery: Delivery, **values: Any) -> Attempt:
    defaults = {"number": 1, "verdict": "delivered", "duration_ms": 5, "worker": "w", "epoch": 1}
    return Attempt.objects.create(
        id=uuid7(), delivery=delivery, started_at=timezone.now(), **{**defaults, **values}
    )


class TestWhatADeliveryTells:
    def column(self, console: Client, name: str) -> list[str]:
        html = console.get(reverse("admin:notifications_delivery_changelist")).text
        return [
            re.sub(r"<[^>]*>", "", cell).strip()
            for cell in re.findall(rf'<td class="field-{name}[^>]*>(.*?)</td>', html, re.DOTALL)
        ]

    def test_the_list_names_endpoints_and_the_number_waited_for(self, console: Client, lane: Lane) -> None:
        assert self.column(console, "to") == ["main"] * 3
        assert self.column(console, "next_try") == ["behind #1, held", "behind #1, held", "—"]
        assert self.column(console, "error") == ["—", "—", "HTTP 500"]
        assert all(re.fullmatch(r"[-\d]{10} [:\d]{8} UTC", each) for each in self.column(console, "created"))

    @pytest.mark.parametrize(
        ("values", "text"),
        [({"is_active": False}, "endpoint paused"), ({"paused_reason": "gone"}, "endpoint paused")],
    )
    def test_the_list_says_when_its_endpoint_is_not_called(
        self, console: Client, hooks: Subscription, types: dict[str, EventType], values: Any, text: str
    ) -> None:
        make_delivery(hooks, make_event(types))
        assert self.column(console, "next_try") == ["now"]
        Endpoint.objects.update(**values)
        assert self.column(console, "next_try") == [text]

    def test_a_long_error_is_cut_to_one_line_and_whole_on_hovering(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        make_delivery(hooks, make_event(types), status="dead", last_error="no\n" + "x" * 100)
        [error] = self.column(console, "error")
        assert error == "no " + "x" * 56 + "…"
        assert "x" * 100 in console.get(reverse("admin:notifications_delivery_changelist")).text

    def test_the_page_shows_the_url_that_is_called_with_its_query(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        delivery = make_delivery(hooks, make_event(types), status="retrying", attempt_count=1)
        delivery.refresh_from_db()
        make_attempt(delivery, request_headers="POST /?a=b+c HTTP/1.1\nHost: hooks.example.com\nx-a: 1")
        RenderedBody.objects.create(
            delivery=delivery, delivery_created_at=delivery.created_at, body="{}", query=[["a", "b c"]]
        )
        html = console.get(page(delivery)).text
        assert (
            f'<a href="{reverse("admin:notifications_endpoint_change", args=[hooks.endpoint_id])}">' in html
        )
        assert '<code class="called">POST https://hooks.example.com?a=b+c</code>' in html
        assert '<pre class="exact">POST /?a=b+c HTTP/1.1\nHost: hooks.example.com\nx-a: 1</pre>' in html
        Endpoint.objects.update(base_url="https://10.0.0.1")
        assert "(not called: " in console.get(page(delivery)).text

    def test_the_page_shows_what_people_did_and_what_they_may_do(self, console: Client, lane: Lane) -> None:
        second = lane.deliveries.get(sequence=2)
        html = console.get(page(second)).text
        assert "Its lane goes on without it; the receiver is told the number was skipped." in html
        assert "It is never sent; what waits behind it goes on." in html
        assert "Reason (optional)" in html
        do(console, second, "cancel", "sent by hand")
        html = console.get(page(second)).text
        for text in ("<td>admin</td>", "<td>delivery.cancel</td>", "<td>sent by hand</td>"):
            assert text in html

    def test_all_times_of_the_page_are_written_alike(self, console: Client, lane: Lane) -> None:
        head = lane.deliveries.get(sequence=1)
        make_attempt(head)
        html = console.get(page(head)).text
        assert "a.m." not in html
        assert "p.m." not in html
        assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", html)) == 2

    def test_a_lane_leads_to_the_deliveries_that_wait_in_it(
        self, console: Client, lane: Lane, types: dict[str, EventType]
    ) -> None:
        make_delivery(lane.subscription, make_event(types, "2002"))
        lane.deliveries.filter(sequence=3).update(status="cancelled", due_at=None, settled_at=timezone.now())
        html = console.get(reverse("admin:notifications_lane_change", args=[lane.pk])).text
        [link] = re.findall(r'href="([^"]*lane__id__exact[^"]*)"', html)
        found = console.get(link.replace("&amp;", "&"))
        assert {row.sequence for row in found.context["cl"].result_list} == {1, 2}


class TestPausing:
    @pytest.mark.parametrize("model", [Endpoint, SmtpProfile], ids=["endpoint", "profile"])
    def test_the_list_pauses_and_resumes(self, console: Client, endpoint: Endpoint, model: Any) -> None:
        SmtpProfile.objects.create(name="main", host="mail.example.test", from_address="a@example.test")
        row = model.objects.get()
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

        def act(verb: str) -> str:
            form = {"action": verb, "_selected_action": [row.pk]}
            text: str = console.post(url, form, follow=True).text
            row.refresh_from_db()
            return text

        assert "1 " in act("pause")
        assert not row.is_active
        assert Channel.objects.get(**{"endpoint" if model is Endpoint else "profile": row}, shard=0).is_paused
        assert "0 " in act("pause")
        model.objects.update(paused_reason="HTTP 410")
        shown = console.post(url, {"action": "resume", "_selected_action": [row.pk]})
        resume = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_resume")
        console.post(resume, console_form.read(shown, "resume"))
        row.refresh_from_db()
        assert (row.is_active, row.paused_reason) == (True, "")
        kind = "endpoint" if model is Endpoint else "smtp_profile"
        actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
        assert list(actions) == [f"{kind}.pause", f"{kind}.resume"]

    def test_pausing_needs_the_permission_to_change(self, endpoint: Endpoint) -> None:
        user = get_user_model().objects.create_user("support", "support@example.com", "pw", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
        viewer = Client()
        viewer.force_login(user)
        form = {"action": "pause", "_selected_action": [endpoint.pk]}
        viewer.post(reverse("admin:notifications_endpoint_changelist"), form)
        endpoint.refresh_from_db()
        assert endpoint.is_active


class TestOperating:
    def state(self, lane: Lane) -> tuple[int, int | None, bool]:
        lane.refresh_from_db()
        return lane.next_sequence, lane.blocked_by_id, lane.due_at is not None

    def statuses(self, lane: Lane) -> list[str]:
        return [delivery.status for delivery in lane.deliveries.order_by("sequence")]

    def test_retry_unblocks_the_lane_and_is_audited(
        self, console: Client, lane: Lane, admin_user: Any
    ) -> None:
        head = lane.deliveries.get(sequence=1)
        assert "1 delivery made due now." in do(console, head, "retry", "receiver is back")
        head.refresh_from_db()
        assert (head.status, head.hold_cause, head.attempt_count, head.settled_at) == (
            "pending",
            "",
            9,
            None,
        )
        assert self.state(lane) == (1, None, True)
        channel = Channel.objects.get(deliveries=head)
        assert channel.due_at
        assert channel.wake == 1
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject, entry.reason, entry.actor, entry.actor_name) == (
            "delivery.retry",
            head.public_id,
            "receiver is back",
            admin_user,
            "admin",
        )

    @pytest.mark.parametrize(("verb", "status"), [("skip", "skipped"), ("cancel", "cancelled")])
    def test_without_its_head_the_lane_goes_on(
        self, console: Client, lane: Lane, verb: str, status: str
    ) -> None:
        do(console, lane.deliveries.get(sequence=1), verb)
        assert self.statuses(lane) == [status, "pending", "pending"]
        assert self.state(lane) == (2, None, True)

    def test_one_further_back_is_marked_and_its_lane_stays(self, console: Client, lane: Lane) -> None:
        do(console, lane.deliveries.get(sequence=2), "cancel")
        assert self.statuses(lane) == ["held", "cancelled", "pending"]
        assert self.state(lane) == (1, lane.deliveries.get(sequence=1).pk, False)

    def test_a_lane_that_is_skipped_to_its_end_is_idle(self, console: Client, lane: Lane) -> None:
        form = {"action": "skip", "_selected_action": [each.pk for each in lane.deliveries.all()]}
        url = reverse("admin:notifications_delivery_changelist")
        assert "3 deliveries skipped." in console.post(url, form, follow=True).text
        assert self.state(lane) == (4, None, False)
        assert AuditEntry.objects.filter(action="delivery.skip").count() == 3

    def test_what_is_in_flight_is_left_alone_and_said_so(self, console: Client, lane: Lane) -> None:
        head = lane.deliveries.get(sequence=1)
        until = timezone.now() + timedelta(minutes=1)
        Channel.objects.update(in_flight=[head.pk], leased_until=until, due_at=until, owner="worker")
        html = do(console, head, "cancel")
        assert "0 deliveries cancelled." in html
        assert "1 delivery left alone: in flight: its result is on its way." in html
        assert self.statuses(lane)[0] == "held"
        assert not AuditEntry.objects.exists()

    def test_a_leased_channel_keeps_its_lease_and_hears_of_the_change(
        self, console: Client, lane: Lane
    ) -> None:
        until = timezone.now() + timedelta(minutes=1)
        Channel.objects.update(leased_until=until, due_at=until, owner="worker")
        do(console, lane.deliveries.get(sequence=1), "retry")
        channel = Channel.objects.get(pk=lane.channel_id)
        assert (channel.due_at, channel.leased_until, channel.wake) == (until, until, 1)

    def test_a_lease_that_ran_out_protects_nothing(self, console: Client, lane: Lane) -> None:
        head = lane.deliveries.get(sequence=1)
        past = timezone.now() - timedelta(seconds=1)
        Channel.objects.update(in_flight=[head.pk], leased_until=past, due_at=past, owner="worker")
        assert "1 delivery cancelled." in do(console, head, "cancel")

    def test_a_dead_one_whose_lane_has_gone_on_cannot_be_sent_in_its_place(
        self, console: Client, lane: Lane
    ) -> None:
        lane.deliveries.filter(sequence=1).update(status="dead", hold_cause="", settled_at=timezone.now())
        Lane.objects.update(next_sequence=2, blocked_by=None)
        assert "its lane has gone on past it" in do(console, lane.deliveries.get(sequence=1), "retry")
        assert self.statuses(lane)[0] == "dead"

    def test_a_dead_one_outside_lanes_is_retried(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        delivery = make_delivery(hooks, make_event(types), status="dead", attempt_count=10)
        do(console, delivery, "retry")
        delivery.refresh_from_db()
        assert (delivery.status, delivery.settled_at, delivery.due_at is not None) == ("pending", None, True)

    def test_a_retry_that_waits_is_due_now(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        later = timezone.now() + timedelta(hours=5)
        delivery = make_delivery(hooks, make_event(types), status="retrying", due_at=later, attempt_count=3)
        do(console, delivery, "retry")
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempt_count) == ("retrying", 2)
        assert delivery.due_at
        assert delivery.due_at < timezone.now()

    def test_what_killed_its_workers_gets_three_more_chances(
        self, console: Client, hooks: Subscription, types: dict[str, EventType]
    ) -> None:
        delivery = make_delivery(hooks, make_event(types), status="held", hold_cause="crashed", crash_count=3)
        do(console, delivery, "retry")
        delivery.refresh_from_db()
        assert (delivery.status, delivery.crash_count) == ("pending", 0)

    @pytest.mark.parametrize(
        ("verb", "status", "text"),
        [
            ("retry", "delivered", "already delivered"),
            ("retry", "pending", "not tried yet"),
            ("cancel", "delivered", "already delivered"),
            ("skip", "pending", "not in a lane, so nothing waits behind it: cancel it"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_the_reason(
        self,
        console: Client,
        hooks: Subscription,
        types: dict[str, EventType],
        verb: str,
        status: str,
        text: str,
    ) -> None:
        delivery = make_delivery(hooks, make_event(types), status=status)
        assert text in do(console, delivery, verb)
        assert Delivery.objects.get().status == status

    def test_more_than_the_limit_is_reported_not_silently_left(
        self, console: Client, lane: Lane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operate, "LIMIT", 2)
        form = {"action": "cancel", "select_across": "1", "_selected_action": [0]}
        html = console.post(reverse("admin:notifications_delivery_changelist"), form, follow=True).text
        assert "2 deliveries cancelled." in html
        assert "more than 2 at once; do it again for the others" in html

    def test_operating_needs_the_permission_and_a_post(self, lane: Lane) -> None:
        head = lane.deliveries.get(sequence=1)
        user = get_user_model().objects.create_user("support", "support@example.com", "pw", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_delivery"))
        viewer = Client()
        viewer.force_login(user)
        html = viewer.get(page(head)).text
        assert "Held:" in html
        assert "Retry now" not in html
        url = reverse("admin:notifications_delivery_do", args=[head.pk, "retry"])
        assert viewer.post(url).status_code == 403
        form = {"action": "retry", "_selected_action": [head.pk]}
        viewer.post(reverse("admin:notifications_delivery_changelist"), form)
        assert self.statuses(lane)[0] == "held"
        user.user_permissions.add(Permission.objects.get(codename="change_delivery"))
        assert viewer.get(url).status_code == 405
        assert viewer.post(url).status_code == 302
        assert self.statuses(lane)[0] == "pending"

    def test_records_cannot_be_changed_or_deleted(self, console: Client, lane: Lane) -> None:
        head = lane.deliveries.get(sequence=1)
        attempt = make_attempt(head)
        for name, pk in [("delivery", head.pk), ("lane", lane.pk), ("attempt", attempt.pk)]:
            assert console.get(reverse(f"admin:notifications_{name}_change", args=[pk])).status_code == 200
            assert console.get(reverse(f"admin:notifications_{name}_add")).status_code == 403
            for verb in ("change", "delete"):
                url = reverse(f"admin:notifications_{name}_{verb}", args=[pk])
                assert console.post(url, {"post": "yes"}).status_code == 403
