import pytest
import trustme
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from smtpprofiles.models import SmtpProfile

GOOD = {"name": "Billing", "host": "mail.example.test", "from_address": "billing@example.test"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [{"port": 0}, {"port": 65536}, {"security": "ssl"}, {"timeout_seconds": 0}, {"timeout_seconds": 61},
     {"host": ""}, {"from_address": ""}],
)  # fmt: skip
def test_the_database_refuses_a_profile_that_cannot_work(change):
    with pytest.raises(IntegrityError), transaction.atomic():
        SmtpProfile.objects.create(**GOOD | change)


@pytest.mark.django_db
def test_the_database_refuses_a_second_default():
    SmtpProfile.objects.create(**GOOD, is_default=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        SmtpProfile.objects.create(**GOOD | {"name": "Sales"}, is_default=True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "mail.example.test:587"),
        ("host", "smtp://mail.example.test"),
        ("host", "mail example"),
        ("host", "1.2.3.4.5"),
        ("from_name", "Billing\r\nBcc: eve@example.com"),
        ("from_address", "billing"),
        ("username", "bïlling"),
        ("ca_certificate", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----"),
        ("ca_certificate", "hello"),
    ],
)
def test_a_bad_value_is_an_error_of_its_field(field, value):
    profile = SmtpProfile(**GOOD | {"password": "x" if field == "username" else "", field: value})
    with pytest.raises(ValidationError) as caught:
        profile.full_clean()
    assert list(caught.value.message_dict) == [field]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "host", ["mail.example.test", "10.1.2.3", "localhost", "bücher.example", "mail.example.test."]
)
def test_a_name_or_an_address_is_a_host(host):
    pem = trustme.CA().cert_pem.bytes().decode()
    SmtpProfile(**GOOD | {"host": host, "ca_certificate": pem}).full_clean()


def test_the_account_carries_the_values_and_hides_the_password():
    account = SmtpProfile(**GOOD, username="u", password="s3cret", security="tls", port=465).account()
    assert (account.host, account.port, account.security, account.password) == (
        "mail.example.test", 465, "tls", "s3cret",
    )  # fmt: skip
    assert "s3cret" not in repr(account)


@pytest.mark.parametrize(
    ("active", "reason", "is_open"), [(True, "", True), (False, "", False), (True, "bad password", False)]
)
def test_a_profile_is_open_while_active_and_not_paused(active, reason, is_open):
    assert SmtpProfile(**GOOD, is_active=active, paused_reason=reason).is_open is is_open
