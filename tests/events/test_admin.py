"""The console's pages of events, parties and the catalog, over HTTP as a browser uses them."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events import keys
from events.admin import page
from events.admin.event import pretty
from events.models import ApiKey, Event, EventType, InboxEntry, QuarantinedEvent, Queue, Subscriber, Token
from events.publish import publish
from events.signals import event_published
from notifications.models import AuditEntry
from tests import console_form, tables


@pytest.fixture
def types(db: None) -> dict[str, EventType]:
    tables.fill(tables.CATALOG)
    return {each.code: each for each in EventType.objects.all()}


@pytest.fixture
def console(client: Client, admin_user: Any) -> Client:
    client.force_login(admin_user)
    return client


@pytest.fixture
def subscriber(db: None) -> Subscriber:
    return Subscriber.objects.create(name="Example Telecom")


def staff(*permissions: str) -> Client:
    user = get_user_model().objects.create_user("staff", "staff@example.com", "pw", is_staff=True)
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def make_events(types: dict[str, EventType], number: int) -> list[Event]:
    for index in range(number):
        sample = {**types["invoice.posted"].sample, "account": {"id": f"{2000 + index}"}}
        Event.objects.create(
            type=types["invoice.posted"],
            data=str(sample),
            account=f"{2000 + index}",
            ordering_key=f"account:{2000 + index}",
            idempotency_key=f"made-{index}",
            occurred_at=timezone.now(),
        )
    return list(Event.objects.order_by("id"))


PAGES = [
    (f"admin:{model._meta.app_label}_{model._meta.model_name}", model_admin)
    for model, model_admin in admin.site._registry.items()
]


@pytest.mark.parametrize(("name", "model_admin"), PAGES, ids=[name for name, _ in PAGES])
def test_every_list_and_form_opens_with_few_queries(
    console: Client, types: dict[str, EventType], name: str, model_admin: Any, rf: Any, admin_user: Any
) -> None:
    request = rf.get("/")
    request.user = admin_user
    for kind in ["changelist"] + ["add"] * model_admin.has_add_permission(request):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            response = console.get(reverse(f"{name}_{kind}"))
        assert response.status_code == 200, name
        # Two of them are the session and the user; the longest lists of choices take the others.
        assert len(queries) <= 14, [query["sql"] for query in queries]
        assert "script-src 'unsafe" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["events_eventtype", "events_queue", "events_event", "events_grant"])
def test_a_list_takes_the_same_queries_for_one_row_and_for_many(
    console: Client, types: dict[str, EventType], subscriber: Subscriber, name: str
) -> None:
    url = reverse(f"admin:{name}_changelist")
    make_events(types, 1)
    console.get(url)
    with CaptureQueriesContext(connection) as few:
        console.get(url)
    make_events(types, 12)
    for index in range(5):
        queue = Queue.objects.create(name=f"more-{index}")
        subscriber.grants.create(queue=queue, can_create=True)
    with CaptureQueriesContext(connection) as many:
        console.get(url)
    assert len(many) == len(few)


def test_users_are_listed_and_made_with_their_address(console: Client, admin_user: Any) -> None:
    assert admin_user.email in console.get(reverse("admin:auth_user_changelist")).text
    form = {"username": "pat", "email": "pat@example.com", "usable_password": "false"}
    assert console.post(reverse("admin:auth_user_add"), form).status_code == 302
    assert get_user_model().objects.get(username="pat").email == "pat@example.com"


class TestApiKeys:
    def form(self, subscriber: Subscriber, **changes: Any) -> dict[str, Any]:
        return {
            "subscriber": subscriber.pk,
            "name": "billing core",
            "scopes": ["events:create", "events:read"],
            "expires_at_0": "",
            "expires_at_1": "",
            **changes,
        }

    def test_the_key_is_shown_once_and_kept_nowhere(
        self, console: Client, subscriber: Subscriber, admin_user: Any
    ) -> None:
        response = console.post(reverse("admin:events_apikey_add"), self.form(subscriber))
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        [secret] = re.findall(r"bwk_[0-9a-f]{8}_[\w-]{43}", response.text)
        key = ApiKey.objects.get()
        assert (key.digest, key.prefix) == (keys.digest(secret), secret[:12])
        assert (key.scopes, key.created_by) == (["events:create", "events:read"], admin_user)
        # Neither the session, nor a message, nor any later page has it.
        assert not [each for each in Session.objects.all() if secret in str(each.get_decoded())]
        assert secret not in str(response.cookies)
        for url in ("admin:events_apikey_changelist", "admin:index"):
            assert secret not in console.get(reverse(url)).text
        assert secret not in console.get(reverse("admin:events_apikey_change", args=[key.pk])).text
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject, entry.actor) == ("apikey.create", f"apikey {key.pk}", admin_user)
        assert secret not in str(entry.changes)

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"scopes": []}, "Choose at least one scope."),
            ({"scopes": ["events:everything"]}, "events:everything is not one of the available choices"),
            ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "Choose a time to come."),
        ],
    )
    def test_a_key_at_fault_is_not_made(
        self, console: Client, subscriber: Subscriber, change: dict[str, Any], fault: str
    ) -> None:
        response = console.post(reverse("admin:events_apikey_add"), self.form(subscriber, **change))
        assert fault in response.text
        assert not ApiKey.objects.exists()

    def test_subscriber_and_scopes_are_settled(self, console: Client, subscriber: Subscriber) -> None:
        key, _ = keys.create_key(subscriber=subscriber, name="a", scopes=["events:read"])
        other = Subscriber.objects.create(name="Another")
        url = reverse("admin:events_apikey_change", args=[key.pk])
        form = self.form(other, name="renamed", scopes=["config:write"])
        assert console.post(url, form).status_code == 302
        key.refresh_from_db()
        assert (key.name, key.subscriber, key.scopes) == ("renamed", subscriber, ["events:read"])

    @pytest.mark.parametrize("by", ["button", "list"])
    def test_revoking_is_a_post_that_reports_its_count_and_is_audited(
        self, console: Client, subscriber: Subscriber, by: str
    ) -> None:
        key, _ = keys.create_key(subscriber=subscriber, name="a", scopes=["events:read"])
        button = reverse("admin:events_apikey_do", args=[key.pk, "revoke"])
        assert button in console.get(reverse("admin:events_apikey_change", args=[key.pk])).text
        assert console.get(button).status_code == 405
        if by == "button":
            response = console.post(button, {"reason": "leaked"}, follow=True)
        else:
            form = {"action": "revoke", "_selected_action": [key.pk], "reason": "leaked"}
            response = console.post(reverse("admin:events_apikey_changelist"), form, follow=True)
        assert "1 key revoked." in response.text
        key.refresh_from_db()
        assert key.revoked_at
        entry = AuditEntry.objects.get(action="api_key.revoke")
        assert (entry.subject, entry.reason) == (key.prefix, "leaked")
        assert button not in console.get(reverse("admin:events_apikey_change", args=[key.pk])).text

    def test_keys_are_never_deleted_and_only_revoked_with_permission(self, subscriber: Subscriber) -> None:
        key, _ = keys.create_key(subscriber=subscriber, name="a", scopes=["events:read"])
        viewer = staff("events.view_apikey", "events.delete_apikey")
        assert viewer.post(reverse("admin:events_apikey_do", args=[key.pk, "revoke"])).status_code == 403
        assert viewer.post(reverse("admin:events_apikey_delete", args=[key.pk])).status_code == 403
        key.refresh_from_db()
        assert key.revoked_at is None


class TestCatalog:
    def test_built_in_types_can_only_be_switched_off_and_kept_longer(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        posted = types["invoice.posted"]
        url = reverse("admin:events_eventtype_change", args=[posted.pk])
        form = console_form.read(console.get(url), "eventtype", retention_days="7")
        assert not {"code", "operation", "schema", "sample", "tokens-0-name"} & form.keys()
        del form["is_active"]
        form |= {"code": "x.changed", "operation": "delete", "schema": "{}"}
        assert console.post(url, form).status_code == 302
        posted.refresh_from_db()
        assert (posted.code, posted.operation, posted.is_active, posted.retention_days) == (
            "invoice.posted",
            "create",
            False,
            7,
        )
        assert posted.schema
        assert console.post(reverse("admin:events_eventtype_delete", args=[posted.pk])).status_code == 403

    def form(self, **changes: Any) -> dict[str, Any]:
        return {
            "code": "bucket.emptied",
            "label": "Bucket emptied",
            "resource": "bucket",
            "operation": "update",
            "category": "usage",
            "is_active": "on",
            "sample": '{"bucket": {"name": "Data"}}',
            "schema": '{"type": "object", "required": ["bucket"]}',
            "tokens-TOTAL_FORMS": "1",
            "tokens-INITIAL_FORMS": "0",
            "tokens-0-name": "bucket.name",
            "tokens-0-group": "bucket",
            "tokens-0-kind": "string",
            **changes,
        }

    def test_an_own_type_is_made_with_its_tokens_and_the_core_ones(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        response = console.post(reverse("admin:events_eventtype_add"), self.form(), follow=True)
        assert "No queue takes bucket.emptied yet" in response.text
        made = EventType.objects.get(code="bucket.emptied")
        core = Token.objects.filter(event_type=types["invoice.posted"], group="core").count()
        assert (made.is_builtin, made.tokens.count()) == (False, core + 1)
        assert made.tokens.get(name="event.type").sample == "bucket.emptied"

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"code": "Bucket"}, "Write a dotted, lower-case code"),
            ({"schema": '{"type": "thing"}'}, "The schema is not valid at /type"),
            ({"sample": '{"other": 1}'}, "The schema refuses it"),
            ({"sample": "[1]"}, "Write one JSON object"),
            ({"ordering_prefix": "account"}, "Give both parts of the ordering key, or neither."),
        ],
    )
    def test_an_own_type_at_fault_is_refused(
        self, console: Client, types: dict[str, EventType], change: dict[str, Any], fault: str
    ) -> None:
        response = console.post(reverse("admin:events_eventtype_add"), self.form(**change))
        assert fault in response.text
        assert not EventType.objects.filter(is_builtin=False).exists()

    def test_a_queue_is_made_with_its_routing(self, console: Client, types: dict[str, EventType]) -> None:
        form = {
            "name": "payments",
            "is_ordered": "on",
            "routes-TOTAL_FORMS": "2",
            "routes-INITIAL_FORMS": "0",
            "routes-0-event_type": types["payment.processed"].pk,
            "routes-1-event_type": types["payment.failed"].pk,
        }
        assert console.post(reverse("admin:events_queue_add"), form).status_code == 302
        assert Queue.objects.get(name="payments").event_types.count() == 2

    @pytest.mark.parametrize("case", ["shut out", "granted", "revoked", "cannot publish"])
    def test_a_new_route_names_the_publishers_that_it_shuts_out(
        self, console: Client, types: dict[str, EventType], subscriber: Subscriber, case: str
    ) -> None:
        subscriber.grants.create(queue=Queue.objects.get(name="billing"), can_create=True)
        scope = "events:read" if case == "cannot publish" else "events:create"
        key, _ = keys.create_key(subscriber=subscriber, name="a", scopes=[scope])
        queue = Queue.objects.create(name="payments")
        if case == "granted":
            subscriber.grants.create(queue=queue, can_create=True)
        if case == "revoked":
            ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
        form = {
            "name": "payments",
            "is_ordered": "on",
            "routes-TOTAL_FORMS": "1",
            "routes-INITIAL_FORMS": "0",
            "routes-0-queue": queue.pk,
            "routes-0-event_type": types["invoice.posted"].pk,
        }
        url = reverse("admin:events_queue_change", args=[queue.pk])
        html = console.post(url, form, follow=True).text
        assert queue.routes.count() == 1
        warning = "Example Telecom publishes invoice.posted and has no grant to create on the queue payments"
        assert (warning in html) == (case == "shut out")

    def test_a_built_in_type_shows_its_payload_indented_and_its_tokens_as_a_table(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        posted = types["invoice.posted"]
        html = console.get(reverse("admin:events_eventtype_change", args=[posted.pk])).text
        assert '<pre class="exact">{\n  &quot;' in html
        assert html.count("<tr><td><code>") == posted.tokens.count()
        assert "tokens-0" not in html

    def test_an_own_type_is_edited_with_its_json_indented(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        console.post(reverse("admin:events_eventtype_add"), self.form())
        made = EventType.objects.get(code="bucket.emptied")
        url = reverse("admin:events_eventtype_change", args=[made.pk])
        form = console_form.read(console.get(url), "eventtype")
        assert form["sample"] == ['{\n  "bucket": {\n    "name": "Data"\n  }\n}']
        assert console.post(url, {**form, "label": "Bucket is empty"}).status_code == 302
        changed = EventType.objects.get(pk=made.pk)
        assert (changed.label, changed.sample) == ("Bucket is empty", made.sample)


def test_the_index_groups_the_pages_by_task_and_spares_staff_the_machinery(console: Client) -> None:
    groups = console.get(reverse("admin:index")).context["app_list"]
    assert [group["name"] for group in groups] == [
        "Send", "Mail", "Events & triggers", "Support", "Access", "Machinery"
    ]  # fmt: skip
    viewer = staff("events.view_event", "axes.view_accesslog", "django_q.view_task")
    shown = viewer.get(reverse("admin:index")).context["app_list"]
    pages = [(group["name"], [page["name"] for page in group["models"]]) for group in shown]
    assert pages == [("Support", ["Events"])]


class TestEvents:
    @pytest.fixture
    def event(self, types: dict[str, EventType]) -> Event:
        publish("invoice.posted", types["invoice.posted"].sample, idempotency_key="key-1")
        event = Event.objects.get()
        make_events(types, 3)
        return event

    @pytest.mark.parametrize("attribute", ["public_id", "account", "ordering_key", "idempotency_key"])
    def test_search_finds_exactly(self, console: Client, event: Event, attribute: str) -> None:
        term = getattr(event, attribute)
        assert term
        url = reverse("admin:events_event_changelist")
        found = console.get(url, {"q": term}).context["cl"].result_list
        assert [row.pk for row in found] == [event.pk]
        assert console.get(url, {"q": term[:-1]}).context["cl"].result_count == 0

    def test_nobody_adds_changes_or_deletes_one(self, console: Client, event: Event) -> None:
        assert console.get(reverse("admin:events_event_add")).status_code == 403
        for page_name in ("change", "delete"):
            assert (
                console.post(reverse(f"admin:events_event_{page_name}", args=[event.pk])).status_code == 403
            )

    def test_the_page_shows_the_payload_escaped_and_its_numbers_as_they_came(
        self, console: Client, types: dict[str, EventType]
    ) -> None:
        event = make_events(types, 1)[0]
        Event.objects.update(data='{"total": 19.90, "name": "<script>alert(1)</script>", "n": [1e3]}')
        html = console.get(reverse("admin:events_event_change", args=[event.pk])).text
        assert "&quot;total&quot;: 19.90" in html
        assert "1e3" in html
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html

    def test_a_quarantined_event_is_released_into_the_inbox(self, console: Client, event: Event) -> None:
        InboxEntry.objects.filter(event=event).delete()
        QuarantinedEvent.objects.create(event=event, error="Traceback\n  …\nKeyError: 'x'")
        assert "KeyError" in console.get(reverse("admin:events_quarantinedevent_changelist")).text
        assert "in quarantine" in console.get(reverse("admin:events_event_changelist")).text
        button = reverse("admin:events_quarantinedevent_do", args=[event.pk, "release"])
        response = console.post(button, {"reason": "rule mended"}, follow=True)
        assert "1 event put back into the inbox." in response.text
        assert not QuarantinedEvent.objects.exists()
        assert InboxEntry.objects.filter(event=event, due_at=None).count() == 1
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.subject, entry.reason) == (
            "event.release",
            event.public_id,
            "rule mended",
        )

    def test_a_release_wakes_the_fan_out(
        self, console: Client, event: Event, django_capture_on_commit_callbacks: Any
    ) -> None:
        InboxEntry.objects.filter(event=event).delete()
        QuarantinedEvent.objects.create(event=event, error="x")
        woken: list[int] = []

        def hear(count: int, **_others: Any) -> None:
            woken.append(count)

        event_published.connect(hear)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                console.post(reverse("admin:events_quarantinedevent_do", args=[event.pk, "release"]))
        finally:
            event_published.disconnect(hear)
        assert woken == [1]

    def test_releasing_needs_its_permission(self, event: Event) -> None:
        QuarantinedEvent.objects.create(event=event, error="x")
        viewer = staff("events.view_quarantinedevent")
        button = reverse("admin:events_quarantinedevent_do", args=[event.pk, "release"])
        assert viewer.post(button).status_code == 403
        assert QuarantinedEvent.objects.exists()

    def test_counting_stops_at_the_limit_and_says_so(
        self, console: Client, types: dict[str, EventType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page, "COUNT_LIMIT", 10)
        make_events(types, 12)
        response = console.get(reverse("admin:events_event_changelist"))
        assert "10+ events" in response.text
        assert response.context["cl"].result_count == 10


def test_json_is_indented_with_its_numbers_as_written() -> None:
    assert pretty('{"a":19.90,"b":[-0,1E5]}') == '{\n  "a": 19.90,\n  "b": [\n    -0,\n    1E5\n  ]\n}'
    assert pretty("not json") == "not json"
