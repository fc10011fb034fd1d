"""The console in a real browser, under its real content security policy."""

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page

from events.publish import publish
from notifications.engine import Engine
from notifications.models import AuditEntry, Delivery, Endpoint, Subscription
from tests.factories import EndpointFactory, QueueFactory, SubscriberFactory, WebhookSubscriptionFactory

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_an_administrator_logs_in(fresh_page):
    get_user_model().objects.create_superuser("admin", "admin@example.com", "a-pass-for-tests")

    fresh_page.goto("/admin/")
    fresh_page.fill("#id_username", "admin")
    fresh_page.fill("#id_password", "a-pass-for-tests")
    fresh_page.click("input[type=submit]")

    assert fresh_page.get_by_role("button", name="Log out").is_visible()


def choose(page: Page, field: str, text: str) -> None:
    """Choose in one of the admin's searching select boxes, as a person does."""
    page.click(f".field-{field} .select2-selection")
    page.keyboard.type(text)
    page.click(f".select2-results__option:has-text('{text}')")


def test_a_subscription_made_by_hand_delivers_and_shows_its_attempt(catalog, https_receiver, page):
    subscriber = SubscriberFactory(name="ERP connector")
    EndpointFactory(subscriber=subscriber, name="ERP hooks")
    QueueFactory(name="invoices")

    page.goto("/admin/notifications/subscription/add/")
    choose(page, "subscriber", "ERP connector")
    page.fill("#id_name", "Invoices for the ERP")
    choose(page, "queue", "invoices")
    choose(page, "event_types", "invoice.posted")
    choose(page, "endpoint", "ERP hooks")
    page.click("text=Add another Parameter")
    page.fill("#id_parameters-0-name", "number")
    page.fill("#id_parameters-0-value", "invoice.numbr")
    page.click("input[name=_save]")
    assert "invoice.number" in page.inner_text(".errorlist >> nth=0"), "the nearest token is suggested"
    page.fill("#id_parameters-0-value", "invoice.number")
    page.click("input[name=_save]")
    assert Subscription.objects.filter(name="Invoices for the ERP").exists(), page.inner_text("#content")

    event = publish("invoice.posted", catalog["invoice.posted"].sample, queue="invoices").event
    Engine(until_idle=True).run()
    delivery = Delivery.objects.get()

    page.goto("/admin/notifications/delivery/")
    page.fill("#searchbar", event.public_id)
    page.keyboard.press("Enter")
    page.click("#result_list tbody th a")
    text = page.inner_text("#content")
    assert delivery.public_id in text
    assert "Delivered" in text
    assert "204" in text
    assert https_receiver.received[0].body.decode() in page.inner_text("#content pre >> nth=-1")


def test_every_list_opens_without_a_complaint_of_the_browser(catalog, https_receiver, page):
    WebhookSubscriptionFactory()
    publish("invoice.posted", catalog["invoice.posted"].sample)
    Engine(until_idle=True).run()
    page.goto("/admin/")
    links = [
        link.get_attribute("href")
        for link in page.query_selector_all("#content-main .tasks a:not(.addlink)")
        if "/admin/" in (link.get_attribute("href") or "")
    ]
    assert len(links) > 20
    for link in links:
        response = page.goto(link)
        assert response.status == 200, link
    page.goto("/api/v1/docs/")
    page.wait_for_selector(".opblock")


def test_a_paused_endpoint_is_resumed_at_a_rate_by_keyboard_alone(catalog, https_receiver, page):
    subscription = WebhookSubscriptionFactory(endpoint=EndpointFactory(name="ERP hooks", is_active=False))
    for _ in range(3):
        publish("invoice.posted", catalog["invoice.posted"].sample, queue=subscription.queue.name)
    Engine(until_idle=True).run()
    assert https_receiver.received == []

    page.goto(f"/admin/notifications/endpoint/{subscription.endpoint_id}/change/")
    page.focus("input[value='Resume…']")
    page.keyboard.press("Enter")
    preview = page.inner_text("table.preview tbody")
    assert "ERP hooks" in preview
    assert "3\t3 in 1 lane" in preview
    assert Endpoint.objects.get().is_active is False

    assert page.get_by_role("group", name="How fast may it go?").count() == 1
    page.get_by_label("At once").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("many")
    page.keyboard.press("Enter")
    page.wait_for_selector(".errornote")
    rate = page.get_by_label("Deliveries a minute")
    assert rate.get_attribute("aria-invalid") == "true"
    described = [page.inner_text(f"#{each}") for each in rate.get_attribute("aria-describedby").split()]
    assert "Write a whole number from 1 to 600,000" in " ".join(described)
    assert page.get_by_label("At a rate").is_checked(), "what was chosen stays chosen"

    rate.fill("6000")
    page.keyboard.press("Tab")
    page.keyboard.type("receiver is back")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".messagelist")
    assert "3 deliveries that waited may go now, at 6,000 a minute." in page.inner_text(".messagelist")
    Engine(until_idle=True).run()
    assert len(https_receiver.received) == 3
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}
    assert AuditEntry.objects.get().reason == "At 6,000 a minute. receiver is back"


def test_a_test_is_sent_by_keyboard_alone_and_a_command_is_taken_away(catalog, https_receiver, page):
    subscription = WebhookSubscriptionFactory(endpoint=EndpointFactory(name="ERP hooks"))
    https_receiver.script = lambda _: (301, {"Location": "/hook/"}, b"")
    publish("invoice.posted", catalog["invoice.posted"].sample, queue=subscription.queue.name)
    Engine(until_idle=True).run()

    page.goto(f"/admin/notifications/subscription/{subscription.pk}/change/")
    page.focus("input[value='Send test…']")
    page.keyboard.press("Enter")
    page.get_by_label("Event type").focus()
    page.keyboard.type("invoice.posted")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("table.steps")
    assert "Their server redirects to the same path with another ending" in page.inner_text(".why")
    assert page.inner_text("table.steps tbody tr >> nth=-1").startswith("Read the answer\t✗ failed")
    assert https_receiver.received[-1].headers["bellwether-test"] == "true"

    delivery = Delivery.objects.get()
    page.goto(f"/admin/notifications/delivery/{delivery.pk}/change/")
    assert "Change the URL to https://receiver.example.test/hook/." in page.inner_text(".remedy")
    page.click("text=Where the time went")
    assert "First byte" in page.inner_text("table.timing")
    page.click("text=The last attempt as curl")
    assert page.get_by_role("textbox", name="Secrets are masked in it").input_value().startswith("curl -i ")
    page.click("button:has-text('Copy')")
    page.wait_for_selector("text=/Copied|Selected/")
