"""Bounces: an address refused at the door, and bounce mails that come later, from four mail systems."""

import io
import json
import time
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from notifications import bounce_report, feedback_address
from notifications.models import (
    AuditEntry,
    Delivery,
    DeliveryFeedback,
    FeedbackAddress,
    Subscription,
    Suppression,
)
from smtpprofiles.models import SmtpProfile
from tests.factories import EmailSubscriptionFactory, QueueFactory, SmtpProfileFactory

from .bounces import SAMPLES, bounce
from .test_feedback import mailed


@pytest.fixture
def sent(catalog: Any, smtp_sink: Any) -> Delivery:
    """A mail that a server has taken."""
    SmtpProfileFactory(name="Billing", bounce_address="bounces@example.com")
    EmailSubscriptionFactory(address="Reader@Example.com")
    return mailed(catalog)


@pytest.fixture
def url(sent) -> str:
    row = FeedbackAddress(profile=SmtpProfile.objects.get())
    row.clean()
    made = feedback_address.renew(row)
    row.save()
    return made[made.index("/feedback/") :]


def post(url: str, mail: bytes, kind: str = "message/rfc822") -> tuple[int, str]:
    answer = Client(enforce_csrf_checks=True).post(url, mail, content_type=kind)
    return answer.status_code, answer.content.decode()


def state(sent: Delivery) -> tuple[Any, ...]:
    sent.refresh_from_db()
    kinds = list(DeliveryFeedback.objects.order_by("id").values_list("kind", flat=True))
    return sent.status, kinds, list(Suppression.objects.values_list("address", flat=True))


UNCHANGED: tuple[str, list[str], list[str]] = ("delivered", [], [])
GONE = ("dead", ["bounced"], ["reader@example.com"])


def test_mail_leaves_with_the_address_where_bounces_go(sent, smtp_sink):
    assert smtp_sink.mails[0].sender == "bounces@example.com"
    assert smtp_sink.mails[0].parsed()["From"] == "Example Telecom Billing <billing@example.com>"


REFUSALS = [
    ("550 5.1.1 No such user here", True),
    ("550 5.1.6 Moved, no forwarding address", True),
    ("556 5.1.10 Recipient address has null MX", True),
    ("550 5.1.8 Sender's system address is bad", False),
    ("550 5.7.1 <Reader@Example.com> 5.1.1 blocked by policy", False),
    ("550 No such user, without a code to be sure by", False),
    ("552 5.2.2 Mailbox full", False),
]


@pytest.mark.parametrize("is_ordered", [True, False])
def test_an_address_that_its_server_says_does_not_exist_is_suppressed(catalog, smtp_sink, is_ordered):
    SmtpProfileFactory(name="Billing")
    queue = QueueFactory(is_ordered=is_ordered)
    reply = ""
    smtp_sink.script = lambda command, _: reply if command == "RCPT" else ""
    for number, (reply, is_gone) in enumerate(REFUSALS):
        EmailSubscriptionFactory(address=f"Reader{number}@Example.com", queue=queue)
        refused = mailed(catalog)
        assert refused.status == ("dead" if is_gone or not is_ordered else "held"), reply
        assert refused.last_error == f"The message was refused for good: {reply}"
        found = list(Suppression.objects.filter(delivery=refused))
        assert len(found) == is_gone, reply
        for row in found:
            assert (row.address, row.reason) == (f"reader{number}@example.com", "bounced")
            assert (row.said_by, row.created_by) == ("The mail server of Billing, refusing it", "Bellwether")
            assert reply in row.detail
            assert AuditEntry.objects.filter(action="suppression.create", subject=row.address).count() == 1
            after = mailed(catalog)
            assert (after.status, after.lane) == ("suppressed", None)
        Subscription.objects.update(is_active=False)


def test_a_profile_may_leave_addresses_that_do_not_exist_alone(catalog, smtp_sink):
    SmtpProfileFactory(suppresses_bounces=False)
    EmailSubscriptionFactory(address="reader@example.com")
    smtp_sink.script = lambda command, _: "550 5.1.1 No such user" if command == "RCPT" else ""
    assert mailed(catalog).status == "held"
    assert not Suppression.objects.exists()


def as_before(sent: Delivery) -> None:
    """Forget what was reported of it."""
    DeliveryFeedback.objects.all().delete()
    Suppression.objects.all().delete()
    Delivery.objects.filter(pk=sent.pk).update(status="delivered", last_error="")


def test_a_bounce_mail_ends_its_delivery_and_suppresses_the_address(sent, url):
    for form in SAMPLES:
        as_before(sent)
        mail = bounce(form, name=sent.public_id)
        assert post(url, mail) == (200, f"Taken in for {sent.public_id}.\n")
        assert post(url, mail) == (200, f"Known already for {sent.public_id}.\n")
        assert state(sent) == GONE
        assert sent.last_error.startswith("Bounced: ")
        assert "550 5.1.1 <reader@example.com>: Recipient address rejected" in sent.last_error
        row = Suppression.objects.get()
        assert (row.delivery, row.reason, row.created_by) == (sent, "bounced", "Bellwether")
        server = {"exchange": "EX2.example.org", "gmail": "googlemail.com"}.get(form, "mx.example.net")
        assert row.said_by == f"A bounce mail of {server}"


NOT_OF_THE_ADDRESS = [
    ("delayed", "4.4.1", "451 4.4.1 connection timed out", ("delivered", ["deferred"], [])),
    ("delivered", "2.0.0", "250 2.0.0 OK", ("delivered", ["delivered"], [])),
    ("failed", "4.4.7", "450 4.2.2 mailbox full", ("dead", ["bounced"], [])),
    ("failed", "5.7.1", "550 5.7.1 blocked: see 5.1.1", ("dead", ["bounced"], [])),
    ("expanded", "2.0.0", "250 OK", UNCHANGED),
]


def test_what_is_not_said_of_the_address_suppresses_nothing(sent, url):
    for form in SAMPLES:
        for action, status, said, expected in NOT_OF_THE_ADDRESS:
            as_before(sent)
            mail = bounce(form, name=sent.public_id, action=action, status=status, said=said)
            assert (post(url, mail)[0], state(sent)) == (200, expected), (form, said)


def test_a_profile_may_keep_mailing_what_bounced(sent, url):
    SmtpProfile.objects.update(suppresses_bounces=False)
    post(url, bounce(name=sent.public_id))
    assert state(sent) == ("dead", ["bounced"], [])


def test_a_forged_bounce_is_kept_as_it_is_and_changes_nothing(sent, url):
    kept = "It was kept as it is, and changed nothing.\n"
    for form in SAMPLES:
        as_before(sent)
        forged = bounce(form, name="dlv_0000000000000000000000000")
        assert post(url, forged) == (200, f"It names no mail of ours. {kept}")
        other = bounce(form, name=sent.public_id, to="someone@example.com")
        assert post(url, other)[1] == f"It names {sent.public_id}, but another recipient. {kept}"
        assert state(sent) == ("delivered", ["bounced", "bounced"], [])
        rows = DeliveryFeedback.objects.order_by("id")
        assert [(row.delivery, row.is_permanent, row.recipient) for row in rows] == [
            (None, False, "reader@example.com"),
            (None, False, "someone@example.com"),
        ]
        assert sent.public_id in rows[1].detail


def test_a_recipient_that_no_text_can_hold_is_kept_without_what_it_cannot(sent, url):
    forged = bounce(name="dlv_0000000000000000000000000").replace(
        b"Final-Recipient: rfc822; reader@", b"Final-Recipient: rfc822; a+00b@"
    )
    assert b"a+00b@" in forged
    assert post(url, forged)[0] == 200
    assert "\0" not in DeliveryFeedback.objects.get().recipient


def test_a_flood_of_forged_bounces_is_bounded(sent, url, monkeypatch):
    monkeypatch.setattr("notifications.take_bounce._MOST_UNKNOWN", 5)
    monkeypatch.setattr("notifications.take_bounce._MOST_OF_A_DELIVERY", 3)
    for number in range(12):
        post(url, bounce(name="dlv_none", to=f"reader{number}@example.com"))
    assert DeliveryFeedback.objects.count() <= 10  # five an hour: two where an hour ends meanwhile
    DeliveryFeedback.objects.all().delete()
    for number in range(12):
        post(url, bounce(name=sent.public_id, action="delayed", status=f"4.4.{number}", said="later"))
    assert DeliveryFeedback.objects.count() == 3


def test_a_long_mail_is_read_at_its_beginning_and_a_longer_one_not_at_all(sent, url):
    mail = bounce("exim", name=sent.public_id)
    long = mail.replace(b"Hello\r\n", b"A line of the mail that came back.\r\n" * 200_000)
    assert len(long) < 10 * 1024 * 1024
    start = time.process_time()
    assert post(url, long)[0] == 200
    assert time.process_time() - start < 5
    assert state(sent) == GONE
    assert post(url, long + long)[0] == 413


DEEP = (
    b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"
    + b"Content-Type: message/rfc822\r\n\r\n" * 5000
)


NO_BOUNCES = [
    (b"Subject: Out of office\r\n\r\nI am away.", "It is no delivery report (RFC 3464), but text/plain"),
    (b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b--", "no part message/deliv"),
    (bounce(name="dlv_x").replace(b"Action:", b"X-Action:"), "names no recipient with an Action"),
    (bounce(name="dlv_x", action="failed\r\n\r\nAction: failed" * 20), "more than 10 recipients"),
    (DEEP, "nested too deeply"),
    (b"\0\xff" * 500, "no delivery report"),
]


def test_what_is_no_bounce_is_said_to_be_none(sent, url):
    for mail, said in NO_BOUNCES:
        code, answer = post(url, mail)
        assert (code, answer.startswith("Nothing was done. "), said in answer) == (200, True, True), answer
    assert state(sent) == UNCHANGED


def test_only_bounce_mails_are_taken_where_servers_mail(sent, url):
    assert post(url, b"{}", "application/json")[0] == 415
    unsized = Client().post(url, b"x", content_type="message/rfc822", CONTENT_LENGTH="")
    assert unsized.status_code == 411
    assert post("/feedback/nobody/", bounce(name=sent.public_id))[0] == 404
    SmtpProfile.objects.update(kind="postmark")
    assert post(url, bounce(name=sent.public_id))[0] == 415
    assert state(sent) == UNCHANGED
    # The address follows its profile to the provider.
    told = {"RecordType": "Bounce", "Type": "Transient", "ID": 4, "Email": "reader@example.com"}
    assert post(url, json.dumps(told).encode(), "application/json")[0] == 200
    assert DeliveryFeedback.objects.get().provider == "postmark"


def test_the_international_form_and_encoded_recipients_are_read(sent):
    found = bounce_report.read(
        bounce(name=sent.public_id)
        .replace(b"message/delivery-status", b"message/global-delivery-status")
        .replace(b"text/rfc822-headers", b"message/global-headers")
        .replace(b"Original-Recipient: rfc822;reader@", b"Original-Recipient: rfc822;a+2Bb@")
    )
    [notice] = found.notices
    assert (found.deliveries, notice.status, notice.action) == ((sent.public_id,), "5.1.1", "failed")
    assert notice.recipients == ("a+2Bb@example.com", "a+b@example.com", "reader@example.com")


def test_a_tag_in_the_address_names_the_mail_where_nothing_is_returned(sent):
    mail = bounce(name="dlv_x").replace(b"To: bounces@", f"To: bounces+{sent.public_id}@".encode())
    mail = mail.replace(b"Message-ID: <dlv_x@example.com>\r\n", b"")
    assert bounce_report.read(mail).deliveries == (sent.public_id,)


def pipe(mail: bytes, profile: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mail)))
    out = io.StringIO()
    call_command("read_bounce", profile=profile, stdout=out)
    return out.getvalue()


def test_a_mail_server_pipes_bounces_to_the_command(sent, monkeypatch):
    long = bounce("exim", name=sent.public_id).replace(b"Hello\r\n", b"x" * 70 + b"\r\n" * 500_000)
    assert pipe(long, "Billing", monkeypatch) == f"Taken in for {sent.public_id}.\n"
    assert state(sent) == GONE
    with pytest.raises(
        CommandError, match=r"There is no SMTP profile 'Nobody'\. There are: Billing\."
    ) as error:
        pipe(long, "Nobody", monkeypatch)
    assert error.value.returncode == 75


def test_the_console_says_who_said_it_and_when(sent, url, admin_user):
    post(url, bounce(name=sent.public_id))
    console = Client()
    console.force_login(admin_user)
    page = console.get(reverse("admin:notifications_suppression_changelist")).content.decode()
    for part in ("A bounce mail of mx.example.net", "Bellwether", "User unknown"):
        assert part in page
