import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives

from smtpprofiles.backends import MailRefused, ProfileBackend
from smtpprofiles.models import SmtpProfile
from tests.servers import MAIL_SERVER, PASSWORD, USERNAME


@pytest.fixture
def backend(smtp_sink):
    profile = SmtpProfile(
        name="Billing", host=MAIL_SERVER, port=587, security="starttls", from_address="billing@example.test",
        username=USERNAME, password=PASSWORD, timeout_seconds=5,
    )  # fmt: skip
    return ProfileBackend(profile)


def test_django_messages_go_out_through_the_profile(smtp_sink, backend):
    message = EmailMultiAlternatives(
        "Rechnung für Ada",
        "Grüße",
        "Billing <x@example.test>",
        ["Ada <ada@example.com>"],
        bcc=["b@example.com"],
    )
    message.attach_alternative("<p>Grüße</p>", "text/html")
    assert backend.send_messages([message, EmailMessage("No one", "", "x@example.test", [])]) == 1
    assert [mail.recipients for mail in smtp_sink.mails] == [("ada@example.com",), ("b@example.com",)]
    assert {mail.sender for mail in smtp_sink.mails} == {"billing@example.test"}
    parsed = smtp_sink.mails[0].parsed()
    assert parsed["Subject"] == "Rechnung für Ada"
    assert parsed["Bcc"] is None
    assert parsed.get_body(("plain",)).get_content().strip() == "Grüße"


def test_a_refused_recipient_raises_and_fails_silently_only_on_demand(smtp_sink, backend):
    smtp_sink.script = lambda command, argument: "550 5.1.1 no" if argument == "eve@example.com" else ""
    message = EmailMessage("Hi", "x", "x@example.test", ["ada@example.com", "eve@example.com"])
    with pytest.raises(MailRefused, match=r"eve@example\.com") as caught:
        backend.send_messages([message])
    assert caught.value.result.code == 550
    backend.fail_silently = True
    assert backend.send_messages([message]) == 0


@pytest.mark.parametrize("field", ["subject", "from_email", "to"])
def test_a_line_break_in_a_header_is_never_sent(smtp_sink, backend, field):
    values = {"subject": "x", "from_email": "x@example.test", "to": ["a@example.com"]}
    evil = "x@example.test\r\nBcc: eve@example.com"
    values[field] = [evil] if field == "to" else evil
    with pytest.raises(ValueError):
        backend.send_messages([EmailMessage(body="x", **values)])
    assert smtp_sink.connections == 0
