import pytest
from cryptography.fernet import Fernet
from django.urls import reverse

from smtpprofiles.models import SmtpProfile

SECRET = "s3cret-word"
FORM = {
    "name": "Billing",
    "kind": "smtp",
    "authentication": "password",
    "connect_seconds": 10,
    "mails_per_connection": 100,
    "on_unknown": "resend",
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
    answer = admin_client.post(
        reverse(ADD), FORM | {"name": "Sales", "new_password": "x", "is_default": "on"}, follow=True
    )
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


_SMTP = {"host", "port", "mails_per_connection"}
_OAUTH = {"username", "oauth_token_url", "oauth_client_id", "new_oauth_client_secret"}
SHOWN = [
    ({"kind": "smtp", "authentication": "none"}, _SMTP),
    ({"kind": "smtp", "authentication": "password"}, {*_SMTP, "username", "new_password"}),
    ({"kind": "smtp", "authentication": "client_credentials"}, {*_SMTP, *_OAUTH}),
    ({"kind": "smtp", "authentication": "refresh_token"}, {*_SMTP, *_OAUTH, "new_oauth_refresh_token"}),
    ({"kind": "mailgun"}, {"provider_domain", "provider_url", "new_provider_key"}),
    ({"kind": "postmark"}, {"provider_url", "new_provider_key"}),
    ({"kind": "mailjet"}, {"provider_url", "new_provider_key", "new_provider_secret"}),
]
DEPENDENT = {name for _, names in SHOWN for name in names}


@pytest.mark.parametrize(("choice", "names"), SHOWN)
@pytest.mark.parametrize("is_new", [True, False])
def test_only_the_fields_that_matter_are_shown_and_what_was_typed_stays(
    admin_client, profile, choice, names, is_new
):
    url = reverse(ADD) if is_new else change(profile)
    typed = choice | {"name": "Typed so far", "new_password": "typed-word", "_show": "1"}
    page = admin_client.post(url, typed)
    assert page.status_code == 200
    html = page.content.decode()
    shown = {name for name in DEPENDENT if f'name="{name}"' in html}
    assert shown == names
    assert 'value="Typed so far"' in html
    assert "typed-word" not in html
    assert SmtpProfile.objects.get().name == "Billing", "nothing was saved"


@pytest.mark.parametrize(
    ("change_to", "fields"),
    [
        ({"kind": "mailgun"}, {"new_provider_key", "provider_domain"}),
        ({"kind": "mailjet"}, {"new_provider_key", "new_provider_secret"}),
        ({"host": ""}, {"host"}),
        ({"username": "", "new_password": "x"}, {"username"}),
        ({"authentication": "client_credentials", "security": "none"},
         {"security", "oauth_token_url", "oauth_client_id", "new_oauth_client_secret", "oauth_scope"}),
        ({"authentication": "refresh_token"}, {"oauth_token_url", "oauth_client_id", "new_oauth_refresh_token"}),
    ],
)  # fmt: skip
def test_what_a_kind_needs_is_asked_for_at_its_field(admin_client, profile, change_to, fields):
    page = admin_client.post(change(profile), FORM | change_to)
    assert page.status_code == 200
    assert set(page.context["adminform"].form.errors) == fields


def test_a_provider_s_key_goes_in_and_never_comes_out(admin_client, profile):
    given = {"kind": "mailgun", "provider_domain": "mg.example.test", "new_provider_key": "key-s3cret"}
    assert admin_client.post(change(profile), FORM | given).status_code == 302
    profile.refresh_from_db()
    assert (profile.kind, profile.provider_key) == ("mailgun", "key-s3cret")
    for url in (change(profile), reverse(LIST)):
        assert "key-s3cret" not in admin_client.get(url).content.decode()


def test_fallbacks_in_a_circle_are_refused_with_the_circle(admin_client, profile):
    sales = SmtpProfile.objects.create(
        name="Sales", host="mail.example.test", from_address="s@example.test", fallback=profile
    )
    page = admin_client.post(change(profile), FORM | {"fallback": sales.pk})
    assert "Billing → Sales → Billing" in page.content.decode()
    profile.refresh_from_db()
    assert profile.fallback is None
