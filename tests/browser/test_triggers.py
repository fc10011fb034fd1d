"""A trigger made by hand in a real browser, under the console's real content security policy."""

import pytest

from events.models import Trigger
from events.triggers import evaluate_inbox
from tests.events.triggers.test_change import report_service

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_a_rule_is_made_tried_and_activated_by_hand(catalog, page):
    for state in ("Active", "Suspended"):
        report_service(state)
    evaluate_inbox()
    page.goto("/admin/events/trigger/add/")
    page.click("text=An object changes")
    page.fill("#id_name", "Rich and suspended")
    page.select_option("#id_object_kind", "service")
    page.fill("#id_new_code", "service.suspended_rich")
    rows = [("state", "from_to", "Active", "Suspended"), ("account.balance", "gt", "1000", "")]
    for at, (field, operator, value, value_to) in enumerate(rows):
        page.fill(f"#id_conditions-{at}-field", field)
        page.select_option(f"#id_conditions-{at}-operator", operator)
        page.fill(f"#id_conditions-{at}-value", value)
        page.fill(f"#id_conditions-{at}-value_to", value_to)
    page.click("input[name=_save]")
    page.click("input[value='Back-test…']")
    page.click("input[value='Back-test']")
    assert "it would have fired 1 time on 1 account" in page.inner_text(".verdict")
    page.click("text=Back to the trigger")
    page.click("input[value='Activate']")
    assert "1 trigger activated." in page.inner_text(".messagelist")
    assert Trigger.objects.get(name="Rich and suspended").is_active
