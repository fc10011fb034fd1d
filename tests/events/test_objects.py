"""Reporting billing objects: upserts, versions, parents, and one change for each difference."""

from decimal import Decimal

import pytest

from events import kinds, objects
from events.lineage import lineage
from events.models import BillingObject, Change

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def known_kinds(db: None) -> None:
    kinds.sync()


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
