"""The pages around bounces in a real browser: where they go, who said so, and the mail that one sends oneself."""

import re

import pytest
from django.test import Client

from events.publish import publish
from notifications.engine import Engine
from notifications.models import Delivery
from smtpprofiles.models import SmtpProfile
from tests.browser.test_profile_pages import shoot
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory
from tests.notifications.bounces import bounce

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_amazon_ses_shows_the_fields_that_it_needs(page):
    page.goto("/admin/smtpprofiles/smtpprofile/add/")
    page.fill("#id_name", "SES")
    page.fill("#id_from_address", "billing@example.com")
    page.select_option("#id_kind", "amazon_ses")
    page.locator("input[name=_show]").nth(0).click()
    page.fill("#id_bounce_address", "bounces@example.com")
    page.press("#id_name", "Enter")
    page.wait_for_selector("text=Amazon SES needs the region, such as eu-central-1.")
    page.wait_for_selector("text=Amazon SES needs a value here: Access key ID.")
    shoot(page, "ses-faults")
    page.fill("#id_new_provider_key", "AKIDEXAMPLE")
    page.fill("#id_new_provider_secret", "secret")
    page.fill("#id_provider_region", "eu-central-1")
    page.press("#id_name", "Enter")
    page.wait_for_selector("text=was added successfully")
    profile = SmtpProfile.objects.get()
    assert (profile.kind, profile.provider_region, profile.bounce_address) == (
        "amazon_ses", "eu-central-1", "bounces@example.com",
    )  # fmt: skip


def test_a_bounce_is_traced_from_the_address_to_the_server_that_said_so(page, catalog, smtp_sink):
    SmtpProfileFactory(name="Billing", bounce_address="bounces@example.com")
    subscription = EmailSubscriptionFactory(name="Invoices", address="reader@example.com")
    subscription.email_template.event_types.set([catalog["invoice.posted"]])
    page.goto("/admin/notifications/feedbackaddress/add/")
    shoot(page, "feedback-add")
    page.locator("#id_profile").evaluate("(e, pk) => { e.add(new Option('Billing', pk, true, true)) }", 0)
    page.locator("#id_profile option").last.evaluate(
        "(e, pk) => { e.value = pk }", str(SmtpProfile.objects.get().pk)
    )
    page.click("input[name=_save]")
    page.wait_for_selector("text=Bounces go to")
    shoot(page, "feedback-url")
    [url] = re.findall(r"/feedback/[\w-]{40,}/", page.content())[:1]

    publish("invoice.posted", catalog["invoice.posted"].sample)
    Engine(until_idle=True).run()
    sent = Delivery.objects.get()
    assert Client().post(url, bounce(name=sent.public_id), content_type="message/rfc822").status_code == 200
    page.goto("/admin/notifications/suppression/?q=READER@example.com")
    page.wait_for_selector("text=A bounce mail of mx.example.net")
    shoot(page, "suppressions")
    page.click("text=reader@example.com")
    page.wait_for_selector("text=User unknown")
    shoot(page, "suppression")

    page.goto(f"/admin/notifications/subscription/{subscription.pk}/change/")
    shoot(page, "subscription")
    page.click("input[value='Send test to me…']")
    page.wait_for_selector("text=Send one mail to yourself")
    shoot(page, "test-mail")
    page.click("input[value='Send test to me']")
    page.wait_for_selector("text=The test was sent to admin@example.com")
    shoot(page, "test-mail-sent")
    assert smtp_sink.mails[-1].recipients == ("admin@example.com",)
