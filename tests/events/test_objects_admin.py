"""The console's pages of billing objects, kinds and changes."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events import kinds, objects
from events.activity import Used, record
from events.models import BillingObject, Change, ObjectKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def console(client: Client, admin_user: Any) -> Client:
    kinds.sync()
    client.force_login(admin_user)
    return client


def service(number: int = 1) -> BillingObject:
    parents = {"package": f"P{number}", "account": "1001"}
    objects.report("service", f"S{number}", {"name": "SIM Data", "state": "Trial"}, parents=parents)
    return objects.report("service", f"S{number}", {"name": "SIM Data", "state": "Active", "fee": 2}).object


def test_an_object_shows_where_it_belongs_and_what_it_was(console: Client) -> None:
    row = service()
    record([Used("service", "usage", "S1", row.created_at)])
    page = console.get(reverse("admin:events_billingobject_change", args=[row.pk])).content.decode()
    package, account = (BillingObject.objects.get(kind=kind) for kind in ("package", "account"))
    for each in (package, account):
        assert f'<a href="{reverse("admin:events_billingobject_change", args=[each.pk])}">{each}</a>' in page
    assert "fee: — → 2, state: Trial → Active" in page
    assert "Waits for the support cluster to look at it" in page
    assert "Usage: " in page
    named = console.get(reverse("admin:events_billingobject_change", args=[account.pk])).content.decode()
    assert "its own report has yet to come" in named


def test_lists_ask_the_same_number_of_statements_for_many_rows_as_for_one(console: Client) -> None:
    counts = []
    for numbers in (range(1, 2), range(2, 40)):
        for number in numbers:
            service(number)
        with CaptureQueriesContext(connection) as queries:
            for name in ("billingobject", "change", "objectkind"):
                assert console.get(reverse(f"admin:events_{name}_changelist")).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("query", "shown"),
    [("q=service:S1", ["S1"]), ("q=package", ["P1", "P2"]), ("kind=account", ["1001"]), ("q=service:S", [])],
)
def test_objects_are_found_by_kind_and_id(console: Client, query: str, shown: list[str]) -> None:
    service(1), service(2)
    page = console.get(f"{reverse('admin:events_billingobject_changelist')}?{query}")
    assert sorted(each.external_id for each in page.context["cl"].result_list) == shown


def test_a_change_says_what_differs_and_why_no_trigger_looked_at_it(console: Client) -> None:
    service()
    change = Change.objects.get(operation="update")
    page = console.get(reverse("admin:events_change_change", args=[change.pk])).content.decode()
    assert '<th scope="row">state</th><td><del>Trial</del></td><td><ins>Active</ins></td>' in page
    Change.objects.filter(pk=change.pk).update(error="/id: Give an id.")
    page = console.get(f"{reverse('admin:events_change_changelist')}?triggers=waiting").content.decode()
    assert "could not be taken over. /id: Give an id." in page


def test_an_administrator_adds_a_kind_and_cannot_remove_what_is_in_use(console: Client) -> None:
    given = {"code": "device", "label": "Device", "parent": ObjectKind.objects.get(code="sim").pk}
    url = reverse("admin:events_objectkind_add")
    bad = console.post(url, {**given, "code": "Device 1", "parent_path": "sim..id"})
    assert set(bad.context["adminform"].form.errors) == {"code", "parent_path"}
    assert console.post(url, given).status_code == 302
    row = objects.report("device", "D1", {"sim": {"id": "8901"}}).object
    assert str(row.parent) == "sim:8901"
    kind = ObjectKind.objects.get(code="device")
    assert (
        console.post(reverse("admin:events_objectkind_delete", args=[kind.pk]), {"post": "yes"}).status_code
        == 403
    )
    circle = reverse("admin:events_objectkind_change", args=[ObjectKind.objects.get(code="account").pk])
    answer = console.post(circle, {"label": "Account", "parent": kind.pk})
    assert "circle: account → device → sim → service → package → account" in answer.content.decode()
