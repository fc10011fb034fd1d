"""The pages of SMTP profiles in a real browser, by keyboard and without any script of the page's own."""

import os

import pytest

from smtpprofiles.models import SmtpProfile
from tests.factories import SmtpProfileFactory
from tests.servers import MAIL_SERVER, PASSWORD, USERNAME

pytestmark = [pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SCREENSHOTS", "")


def shoot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def test_a_profile_is_made_for_a_provider_and_for_oauth2_by_choosing_what_is_shown(page):
    page.goto("/admin/smtpprofiles/smtpprofile/add/")
    shoot(page, "profile-add")
    page.fill("#id_name", "Billing")
    page.select_option("#id_kind", "mailgun")
    page.locator("input[name=_show]").nth(0).click()
    assert page.input_value("#id_name") == "Billing"
    assert page.locator("#id_host").count() == 0
    shoot(page, "profile-mailgun")
    page.fill("#id_from_address", "billing@example.com")
    page.press("#id_name", "Enter")
    page.wait_for_selector("text=Mailgun needs a value here: API key.")
    shoot(page, "profile-mailgun-faults")
    page.fill("#id_new_provider_key", "key-1")
    page.fill("#id_provider_domain", "mg.example.com")
    page.press("#id_name", "Enter")
    page.wait_for_selector("text=was added successfully")
    assert SmtpProfile.objects.get().provider_key == "key-1"
    page.goto(f"/admin/smtpprofiles/smtpprofile/{SmtpProfile.objects.get().pk}/change/")
    page.select_option("#id_kind", "smtp")
    page.locator("input[name=_show]").nth(0).click()
    page.wait_for_selector("#id_authentication")
    page.select_option("#id_authentication", "client_credentials")
    page.locator("input[name=_show]").nth(1).click()
    page.wait_for_selector("#id_oauth_token_url")
    shoot(page, "profile-oauth")


def test_a_profile_is_tested_from_its_page(page, smtp_sink):
    profile = SmtpProfileFactory(name="Billing", host=MAIL_SERVER, username=USERNAME, password=PASSWORD)
    SmtpProfileFactory(name="Operations", is_default=False, fallback=profile, from_address="ops@example.com")
    page.goto("/admin/smtpprofiles/smtpprofile/")
    shoot(page, "profile-list")
    page.goto(f"/admin/smtpprofiles/smtpprofile/{profile.pk}/change/")
    shoot(page, "profile-change")
    page.click("input[value='Test and send me a mail']")
    page.wait_for_selector("text=a mail was handed in for admin@example.com")
    shoot(page, "profile-test-good")
    assert smtp_sink.mails[0].recipients == ("admin@example.com",)
    profile.password = "wrong"
    profile.save()
    page.click("input[value='Test again']")
    page.wait_for_selector("text=Enter user name and password again")
    shoot(page, "profile-test-bad")
    page.goto("/admin/notifications/profilerule/add/")
    shoot(page, "rule-add")
