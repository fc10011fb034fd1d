import pytest
from cryptography.fernet import Fernet
from django.urls import reverse

from smtpprofiles.models import SmtpProfile

SECRET = "s3cret-word"
FORM = {
    "name": "Billing",
    "host": "mail.example.test",
    "port": 587,
    "security": "starttls",
    "from_address": "billing@example.test",
    "username": "billing",
    "new_password": "",
    "timeout_seconds": 15,
    "max_connections": 4,
    "rate_per_minute": "",
    "is_active": "on",
}


@pytest.fixture
def profile(db):
    return SmtpProfile.objects.create(
        name="Billing", host="mail.example.test", from_address="billing@example.test",
        username="billing", password=SECRET, is_default=True,
    )  # fmt: skip


def change(profile):
    return reverse("admin:smtpprofiles_smtpprofile_change", args=[profile.pk])


ADD, LIST = "admin:smtpprofiles_smtpprofile_add", "admin:smtpprofiles_smtpprofile_changelist"


def test_a_password_never_appears_in_html(admin_client, profile):
    for url in (change(profile), reverse(LIST), reverse(ADD)):
        page = admin_client.get(url)
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
    invalid = admin_client.post(change(profile), FORM | {"port": 0, "new_password": "typed-word"})
    assert invalid.status_code == 200
    assert "typed-word" not in invalid.content.decode()


def test_an_empty_password_keeps_the_stored_one(admin_client, profile):
    assert admin_client.post(change(profile), FORM | {"host": "other.example.test"}).status_code == 302
    profile.refresh_from_db()
    assert (profile.host, profile.password) == ("other.example.test", SECRET)


def test_a_typed_password_replaces_the_stored_one(admin_client, profile):
    admin_client.post(change(profile), FORM | {"new_password": " new word "})
    profile.refresh_from_db()
    assert profile.password == " new word "


def test_without_a_username_the_password_goes(admin_client, profile):
    admin_client.post(change(profile), FORM | {"username": ""})
    profile.refresh_from_db()
    assert profile.password == ""


def test_a_new_default_takes_the_place_of_the_former(admin_client, profile):
    answer = admin_client.post(reverse(ADD), FORM | {"name": "Sales", "is_default": "on"}, follow=True)
    assert "Billing is no longer the default." in answer.content.decode()
    assert [row.name for row in SmtpProfile.objects.filter(is_default=True)] == ["Sales"]


def test_a_password_that_no_key_opens_breaks_no_page_and_can_be_replaced(admin_client, profile, settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    assert admin_client.get(reverse(LIST)).status_code == 200
    assert admin_client.get(change(profile)).status_code == 200
    assert admin_client.post(change(profile), FORM | {"new_password": "again"}).status_code == 302
    assert SmtpProfile.objects.get().password == "again"


def test_the_list_is_searched_and_filtered(admin_client, profile):
    found = admin_client.get(reverse(LIST), {"q": "billing@example", "status": "running"})
    assert "mail.example.test" in found.content.decode()


def test_its_limits_are_set_by_the_form_and_a_rate_may_be_empty(admin_client, profile):
    limits = {"max_connections": 2, "rate_per_minute": 120}
    assert admin_client.post(change(profile), FORM | limits).status_code == 302
    profile.refresh_from_db()
    assert (profile.max_connections, profile.rate_per_minute) == (2, 120)
    refused = admin_client.post(change(profile), FORM | {"max_connections": 65, "rate_per_minute": 0})
    assert set(refused.context["adminform"].form.errors) == {"max_connections", "rate_per_minute"}
    assert admin_client.post(change(profile), FORM | {"rate_per_minute": ""}).status_code == 302
    profile.refresh_from_db()
    assert profile.rate_per_minute is None
