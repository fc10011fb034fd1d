import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import connection

from smtpprofiles.encryption import EncryptedTextField, SecretUnreadable, decrypt, encrypt
from smtpprofiles.models import SmtpProfile


@pytest.fixture
def profile(db):
    return SmtpProfile.objects.create(
        name="Billing", host="mail.example.test", from_address="billing@example.test", password="pässword"
    )


def column(profile):
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM smtpprofiles_smtpprofile WHERE id = %s", [profile.pk])
        return cursor.fetchone()[0]


def test_the_column_holds_a_token_and_the_field_the_text(profile):
    assert "ssword" not in column(profile)
    assert decrypt(column(profile), owner="x") == "pässword"
    assert SmtpProfile.objects.get().password == "pässword"


def test_an_empty_secret_stays_empty(profile):
    profile.password = ""
    profile.save()
    assert column(profile) == ""
    assert SmtpProfile.objects.get().password == ""


def test_the_newest_key_encrypts_and_a_former_one_still_decrypts(settings):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SECRETS_KEYS = [old]
    token = encrypt("secret")
    settings.SECRETS_KEYS = [new, old]
    assert decrypt(token, owner="x") == "secret"
    fresh = encrypt("secret")
    settings.SECRETS_KEYS = [new]
    assert decrypt(fresh, owner="x") == "secret"
    with pytest.raises(SecretUnreadable):
        decrypt(token, owner="x")


def test_a_secret_of_another_key_raises_and_names_field_and_remedy(profile, settings):
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SecretUnreadable, match=r"smtpprofiles\.SmtpProfile\.password .* SECRETS_KEYS"):
        SmtpProfile.objects.get()


def test_plain_text_in_the_column_is_never_handed_out(profile):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE smtpprofiles_smtpprofile SET password = 'plain'")
    with pytest.raises(SecretUnreadable) as caught:
        SmtpProfile.objects.get()
    assert "plain" not in str(caught.value)


@pytest.mark.parametrize("keys", [[], ["no-key"]])
def test_without_a_usable_key_nothing_is_encrypted(settings, keys):
    settings.SECRETS_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match="SECRETS_KEYS") as caught:
        encrypt("secret")
    assert "no-key" not in str(caught.value)


@pytest.mark.parametrize("lookup", ["password", "password__contains", "password__in"])
def test_a_secret_cannot_be_looked_up(lookup):
    with pytest.raises(FieldError, match="encrypted"):
        SmtpProfile.objects.filter(**{lookup: ["x"] if lookup.endswith("in") else "x"})


def test_a_dump_carries_no_secret(profile):
    assert 'ssword": "p' not in serializers.serialize("json", [profile])
    assert "p\\u00e4ssword" not in serializers.serialize("json", [profile])


def test_the_field_deconstructs_to_itself():
    _, path, args, kwargs = EncryptedTextField(blank=True, default="").deconstruct()
    assert (path, args) == ("smtpprofiles.encryption.EncryptedTextField", [])
    assert kwargs == {"blank": True, "default": ""}
