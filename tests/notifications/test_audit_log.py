"""What people change in the console is in the audit log: each field, what it was and what it is, never a secret."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from events.models import EventType, Queue, Subscriber
from notifications.models import AuditEntry, Endpoint, EndpointHeader
from notifications.origin import current
from smtpprofiles.models import SmtpProfile
from tests import console_form
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory

PLANTED = "pl4nted-secret"


def change(console: Client, row: Any, **fields: Any) -> Any:
    """Open a row's page, type what is given, and save."""
    opts = row._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
    posted = console.post(url, console_form.read(console.get(url), opts.model_name, **fields))
    assert posted.status_code == 302, posted.context["errors"]
    return posted


def newest() -> AuditEntry:
    """Return the entry written last."""
    return AuditEntry.objects.order_by("-id")[0]


def test_an_edit_tells_each_field_with_what_it_was_and_is(
    console: Client, event_types: None, hooks: Any
) -> None:
    hooks.event_types.set([EventType.objects.get(code="invoice.posted")])
    other = Queue.objects.get(name="billing")
    change(console, hooks, name="hooks of the ERP", on_delete="", queue=str(other.pk), event_types=[])

    entry = newest()
    assert (entry.actor_name, entry.action, entry.kind) == ("admin", "subscription.update", "subscription")
    assert (entry.subject, entry.name, entry.origin) == (
        f"subscription {hooks.pk}",
        "hooks of the ERP",
        "127.0.0.1",
    )
    assert sorted(entry.changes) == [
        ["Delete", "yes", "no"],
        ["Event types", "invoice.posted", "—"],
        ["Name", "hooks", "hooks of the ERP"],
        ["Queue", "invoices", "billing"],
    ]
    assert current() == "", "no address outlives its request"


def test_an_unchanged_form_is_no_news(console: Client, event_types: None, hooks: Any) -> None:
    change(console, hooks)
    assert AuditEntry.objects.count() == 0


def test_rows_inside_a_page_are_told_too(console: Client, event_types: None, hooks: Any) -> None:
    added = {
        "filters-TOTAL_FORMS": "1",
        "filters-0-token": "event.type",
        "filters-0-operator": "is_not",
        "filters-0-value": "invoice.posted",
    }
    hooks.event_types.set([EventType.objects.get(code="invoice.overdue")])
    hooks.filters.create(token="invoice.currency", operator="is", value="CAD")
    change(console, hooks, **{"filters-0-value": "USD"})
    assert newest().changes == [["filter invoice.currency is USD, Value", "CAD", "USD"]]
    change(console, hooks, **{"filters-0-DELETE": "on"})
    assert newest().changes == [["filter invoice.currency is USD", "was there", "deleted"]]
    added["filters-0-token"] = "invoice.currency"
    change(console, hooks, **added)
    assert newest().changes == [
        [
            "filter invoice.currency is not invoice.posted",
            "—",
            "Token invoice.currency; Operator is not; Value invoice.posted",
        ]
    ]


def test_no_secret_gets_into_the_log(console: Client, event_types: None, hooks: Any) -> None:
    """Planted wherever the console takes one; each is said to have changed."""
    profile = SmtpProfileFactory()
    EndpointHeader.objects.create(endpoint=hooks.endpoint, name="X-Old", is_secret=True, secret_value=PLANTED)
    headers = {
        "headers-TOTAL_FORMS": "2",
        "headers-1-name": "X-New",
        "headers-1-is_secret": "on",
        "headers-1-value": PLANTED,
        "headers-0-value": f"{PLANTED}-2",
    }
    endpoint = {
        "authorization": "bearer",
        "bearer_token": PLANTED,
        "api_key_header": "X-Key",
        "api_key": PLANTED,
    }
    change(console, hooks.endpoint, **endpoint, **headers)
    told = {label: (old, new) for label, old, new in newest().changes}
    assert told["Bearer token"] == told["API key"] == told["header X-Old, Value"] == ("•••", "•••")
    assert told["API key header"] == ("—", "X-Key")
    change(console, profile, new_password=PLANTED)
    assert newest().changes == [["SMTP password", "•••", "•••"]]
    parameter = {
        "parameters-TOTAL_FORMS": "1",
        "parameters-0-name": "key",
        "parameters-0-source": "static",
        "parameters-0-value": PLANTED,
        "parameters-0-is_secret": "on",
        "parameters-0-placement": "header",
    }
    hooks.event_types.set([EventType.objects.get(code="invoice.posted")])
    change(console, hooks, **parameter)
    user = get_user_model().objects.create_user("desk", password="another-pass-1")
    console.post(
        reverse("admin:auth_user_password_change", args=[user.pk]),
        {"usable_password": "true", "password1": f"{PLANTED}-9", "password2": f"{PLANTED}-9"},
    )
    assert (newest().action, newest().changes) == ("user.update", [["Password", "•••", "•••"]])

    kept = list(AuditEntry.objects.values())
    assert len(kept) == 4
    assert PLANTED not in str(kept)
    listed = console.get(reverse("admin:notifications_auditentry_changelist"))
    pages = [
        console.get(reverse("admin:notifications_auditentry_change", args=[each["id"]])) for each in kept
    ]
    assert all(PLANTED not in page.content.decode() for page in [listed, *pages])


def test_what_is_made_and_deleted_keeps_its_name(console: Client, event_types: None) -> None:
    queue = Queue.objects.create(name="spare")
    url = reverse("admin:events_queue_delete", args=[queue.pk])
    assert console.post(url, {"post": "yes"}).status_code == 302
    entry = newest()
    assert (entry.action, entry.subject, entry.name) == ("queue.delete", f"queue {queue.pk}", "spare")
    added = console.post(reverse("admin:events_subscriber_add"), {
        "name": "ERP", "is_active": "on",
        **{f"{prefix}-{part}_FORMS": "0" for prefix in ("grants", "api_keys") for part in ("TOTAL", "INITIAL")},
    })  # fmt: skip
    assert added.status_code == 302
    made = Subscriber.objects.get()
    assert (newest().action, newest().subject) == ("subscriber.create", f"subscriber {made.pk}")
    assert newest().changes == [["Name", "—", "ERP"]]


@pytest.fixture
def history(console: Client, event_types: None, hooks: Any) -> list[AuditEntry]:
    """An edit of a group, a pause of an endpoint, and something that a program did."""
    group = Group.objects.create(name="Billing")
    change(console, group, name="Billing desk")
    do = reverse("admin:notifications_endpoint_do", args=[hooks.endpoint_id, "pause"])
    console.post(do, {"reason": "they move"})
    AuditEntry.objects.create(actor_name="API key bw_1", action="queue.update", subject="queue 1")
    return list(AuditEntry.objects.order_by("id"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [0, 1, 2]),
        ("q=MAIN", [1]),
        ("q=Billing desk", [0]),
        ("q=queue 1", [2]),
        ("q=nothing like it", []),
        ("kind=endpoint", [1]),
        ("kind=group&action=group.update", [0]),
        ("who=programs", [2]),
        ("created_at__gte=2001-01-01 00:00:00%2B00:00", [0, 1, 2]),
        ("created_at__gte=2101-01-01 00:00:00%2B00:00", []),
    ],
)
def test_the_log_is_searched_and_narrowed_down(
    console: Client, history: list[AuditEntry], query: str, found: list[int]
) -> None:
    page = console.get(f"{reverse('admin:notifications_auditentry_changelist')}?{query}")
    assert page.status_code == 200
    assert sorted(row.pk for row in page.context["cl"].result_list) == [history[each].pk for each in found]


def test_the_list_tells_names_and_leads_to_the_objects(
    console: Client, history: list[AuditEntry], hooks: Any
) -> None:
    text = console.get(reverse("admin:notifications_auditentry_changelist")).content.decode()
    url = reverse("admin:notifications_endpoint_change", args=[hooks.endpoint_id])
    assert f'<a href="{url}">main</a>' in text
    assert "Name: Billing → Billing desk" in text
    assert "endpoint: pause" in text
    assert "they move" in text


def test_a_row_whose_secret_no_key_opens_is_named_all_the_same(
    console: Client, event_types: None, hooks: Any, settings: Any
) -> None:
    settings.SECRETS_KEYS = ["A" * 43 + "="]
    console.post(reverse("admin:notifications_endpoint_do", args=[hooks.endpoint_id, "pause"]))
    assert newest().name == "main"


def test_mail_subscriptions_and_profiles_are_audited(console: Client, event_types: None) -> None:
    SmtpProfileFactory(name="billing")
    mails: Any = EmailSubscriptionFactory()
    change(console, mails, name="letters")
    change(console, SmtpProfile.objects.get(), from_name="Telecom")
    mails.email_template.event_types.set([EventType.objects.get(code="invoice.posted")])
    change(console, mails.email_template, subject="Hello {{ event.label }}")
    assert [each.action for each in AuditEntry.objects.order_by("id")] == [
        "subscription.update",
        "smtpprofile.update",
        "emailtemplate.update",
    ]
    assert Endpoint.objects.count() == 0
