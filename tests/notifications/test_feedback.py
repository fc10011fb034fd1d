"""What comes back of mails: bounces, complaints, opt-outs; who is not mailed then, and why."""

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from svix.webhooks import Webhook as SvixWebhook

from events.keys import create_key
from events.models import Scope
from events.publish import publish
from notifications import feed, feedback_address, operate, opt_out, suppress
from notifications.engine import Engine
from notifications.fan_out import fan_out
from notifications.models import (
    AuditEntry,
    Delivery,
    DeliveryFeedback,
    EmailTemplate,
    FeedbackAddress,
    OptOut,
    RenderedBody,
    Suppression,
)
from notifications.withdraw import withdraw
from smtpprofiles.models import SmtpProfile
from tests.factories import EmailSubscriptionFactory, SmtpProfileFactory, SubscriberFactory

POSTMARK = {"MessageID": "provider-1", "ServerID": 23, "BouncedAt": "2026-11-23T10:00:00Z"}


@pytest.fixture
def sent(catalog: Any, smtp_sink: Any) -> Delivery:
    """A mail that a server has taken."""
    SmtpProfileFactory()
    EmailSubscriptionFactory(address="Reader@Example.com", allows_opt_out=True)
    return mailed(catalog)


def mailed(catalog: Any) -> Delivery:
    publish("invoice.posted", catalog["invoice.posted"].sample)
    Engine(until_idle=True).run()
    return Delivery.objects.order_by("-id")[0]


def address(provider: str = "postmark", **fields: Any) -> str:
    row = FeedbackAddress(profile=SmtpProfile.objects.get(), provider=provider, **fields)
    row.clean()
    url = feedback_address.renew(row)
    row.save()
    return url.partition("/feedback/")[1] + url.partition("/feedback/")[2]


def post(url: str, body: Any) -> int:
    return Client(enforce_csrf_checks=True).post(url, body, content_type="application/json").status_code


def postmark(delivery: Delivery, kind: str, **more: Any) -> dict[str, Any]:
    told = {**POSTMARK, "RecordType": kind, "Email": "reader@example.com", "Recipient": "reader@example.com"}
    return {**told, "Metadata": {"delivery": delivery.public_id}, **more}


def test_a_hard_bounce_ends_the_delivery_and_stops_the_next_mail(sent, catalog):
    url = address()
    bounce = postmark(
        sent, "Bounce", ID=7, Type="HardBounce", Details="smtp;550 5.1.1 The email account does not exist"
    )
    assert [post(url, bounce), post(url, bounce)] == [200, 200]  # providers repeat themselves

    row = DeliveryFeedback.objects.get()
    assert (row.delivery, row.kind, row.is_permanent, row.provider) == (sent, "bounced", True, "postmark")
    sent.refresh_from_db()
    assert sent.status == "dead"
    assert sent.last_error.startswith("Bounced: smtp;550 5.1.1 The email account does not exist")
    suppression = Suppression.objects.get()
    assert (suppression.address, suppression.reason, suppression.delivery) == (
        "reader@example.com",
        "bounced",
        sent,
    )

    after = mailed(catalog)
    assert (after.status, after.lane, after.channel) == ("suppressed", None, None)
    assert re.fullmatch(r"The address bounced on \d{4}-\d\d-\d\d, so it is suppressed\..*", after.last_error)

    operator = get_user_model().objects.create_superuser("operator", "operator@example.com")
    assert suppress.release([suppression.pk], operator, "new mailbox") == 1
    assert mailed(catalog).status == "delivered"
    assert list(AuditEntry.objects.filter(subject="reader@example.com").values_list("action", flat=True)) == [
        "suppression.release",
        "suppression.create",
    ]


@pytest.mark.parametrize(
    ("kind", "more", "kept", "status", "suppressed"),
    [
        (
            "Delivery",
            {"DeliveredAt": "2026-11-23T10:00:00Z", "Details": "250 OK"},
            "delivered",
            "delivered",
            None,
        ),
        ("SpamComplaint", {"Type": "SpamComplaint", "ID": 9}, "complained", "delivered", "complained"),
        ("Bounce", {"Type": "Blocked", "ID": 3, "Details": "550 5.7.1 blocked"}, "rejected", "dead", None),
        (
            "Bounce",
            {"Type": "Transient", "ID": 4, "Details": "452 4.2.2 full"},
            "deferred",
            "delivered",
            None,
        ),
        ("Open", {"ReceivedAt": "2026-11-23T10:00:00Z"}, None, "delivered", None),
    ],
)
def test_each_report_says_what_it_says(sent, kind, more, kept, status, suppressed):
    assert post(address(), postmark(sent, kind, **more)) == 200
    found = DeliveryFeedback.objects.values_list("kind", flat=True)
    assert list(found) == ([kept] if kept else [])
    sent.refresh_from_db()
    assert sent.status == status
    assert [row.reason for row in Suppression.objects.all()] == ([suppressed] if suppressed else [])


def test_opens_are_kept_where_an_administrator_says_so(sent):
    url = address(keeps_opens=True)
    assert post(url, postmark(sent, "Open", ReceivedAt="2026-11-23T10:00:00Z")) == 200
    assert DeliveryFeedback.objects.get().kind == "opened"


def test_a_report_about_another_recipient_touches_no_delivery(sent):
    bounce = postmark(sent, "Bounce", ID=7, Type="HardBounce", Email="other@example.com")
    assert post(address(), bounce) == 200
    assert DeliveryFeedback.objects.get().delivery is None
    sent.refresh_from_db()
    assert sent.status == "delivered"
    assert Suppression.objects.get().address == "other@example.com"


def test_a_report_with_a_nul_in_it_is_kept_without(sent):
    bounce = postmark(
        sent, "Bounce", ID="7\0", Type="HardBounce", Details="gone\0 \ud800", MessageID="provider\0-1"
    )
    assert post(address(), bounce) == 200
    row = DeliveryFeedback.objects.get()
    assert (row.event_id, row.message_id) == ("7", "provider-1")
    assert "gone ?" in row.detail


def test_only_the_provider_reports(sent):
    key = "signing-key"
    url = address("mailgun", signing_key=key)
    timestamp, token = "1700000000", "t" * 50
    signature = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    event = {"event": "failed", "severity": "permanent", "recipient": "reader@example.com", "id": "e1",
             "timestamp": 1700000000.0, "reason": "bounce", "user-variables": {"delivery": sent.public_id},
             "delivery-status": {"code": 550, "message": "5.1.1 no such user"},
             "message": {"headers": {"message-id": "x@y"}}}  # fmt: skip
    forged = {
        "signature": {"timestamp": timestamp, "token": token, "signature": "0" * 64},
        "event-data": event,
    }
    true = {**forged, "signature": {"timestamp": timestamp, "token": token, "signature": signature}}
    assert [post(url, forged), post("/feedback/nobody/", true), post(url, "no json"), post(url, "[]")] == [
        400, 404, 400, 400,
    ]  # fmt: skip
    assert not DeliveryFeedback.objects.exists()
    assert post(url, true) == 200
    assert Suppression.objects.get().reason == "bounced"
    row = FeedbackAddress.objects.get()
    token = url.split("/")[-2]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_jsonb(f)::text FROM notifications_feedbackaddress f WHERE id = %s", [row.pk]
        )
        stored = cursor.fetchone()[0]
    assert (token in stored, key in stored) == (False, False)


def test_what_resend_reports_carries_the_signature_of_svix(sent):
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    profile = SmtpProfile.objects.get()
    profile.kind, profile.provider_key = "resend", "key"
    profile.save()
    with pytest.raises(ValidationError, match="Resend signs what it reports"):
        FeedbackAddress(profile=profile).clean()
    with pytest.raises(ValidationError, match="looks like whsec_"):
        FeedbackAddress(profile=profile, signing_key="no key!").clean()
    url = address("", signing_key=secret)
    assert FeedbackAddress.objects.get().provider == "resend"
    told = {"type": "email.bounced", "created_at": "2026-11-23T10:00:00.000Z",
            "data": {"email_id": "re-1", "to": ["reader@example.com"], "created_at": "2026-11-23T10:00:00.000Z",
                     "tags": {"delivery": sent.public_id},
                     "headers": [{"name": "X-Message-ID", "value": f"<{sent.public_id}@example.com>"}],
                     "bounce": {"type": "Permanent", "subType": "General", "message": "550 5.1.1 gone"}}}  # fmt: skip
    body, now = json.dumps(told), datetime.now(UTC)
    other = "whsec_" + base64.b64encode(b"o" * 24).decode()

    def post_signed(key: str, at: datetime, text: str = body) -> int:
        headers = {"svix-id": "msg_1", "svix-timestamp": str(int(at.timestamp()))}
        headers["svix-signature"] = f"v1a,xyz {SvixWebhook(key).sign('msg_1', at, body)}"
        client = Client(headers=headers)
        return client.post(url, text, content_type="application/json").status_code

    old = now - timedelta(minutes=6)
    refused = [
        post(url, told),
        post_signed(other, now),
        post_signed(secret, old),
        post_signed(secret, now, "{}"),
    ]
    assert refused == [400] * 4
    assert not DeliveryFeedback.objects.exists()
    assert post_signed(secret, now) == 200
    assert DeliveryFeedback.objects.get().kind == "bounced"
    assert Suppression.objects.get().said_by == "Resend"


def test_the_unsubscribe_link_works_without_a_login_and_by_one_click(sent, catalog, settings):
    settings.BASE_URL = "https://billing.example.com"
    message = message_from_string(
        RenderedBody.objects.get(delivery=mailed(catalog)).body, policy=policy.default
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    raw = RenderedBody.objects.order_by("-delivery_id")[0].body
    [url] = re.findall(
        r"^List-Unsubscribe: <https://billing\.example\.com(/unsubscribe/[^>\s]+)>\r?$", raw, re.M
    )
    browser = Client(enforce_csrf_checks=True)

    assert b"Unsubscribe?" in browser.get(url).content
    assert not OptOut.objects.exists(), "mail filters follow links"
    assert browser.get(url[:-3] + "x/").status_code == 404
    clicked = browser.post(
        url, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
    )
    assert (clicked.status_code, OptOut.objects.get().is_one_click) == (200, True)

    after = mailed(catalog)
    assert (after.status, after.last_error) == ("suppressed", opt_out.REASON)
    assert b"You are subscribed again" in browser.post(url, {"again": "1"}).content
    assert mailed(catalog).status == "delivered"


def test_who_leaves_is_not_sent_what_waits_however_the_address_is_written(catalog, smtp_sink):
    SmtpProfileFactory()
    subscription = EmailSubscriptionFactory(address="Reader@Example.com", allows_opt_out=True)
    EmailSubscriptionFactory(address="Reader@Example.com", allows_opt_out=True)
    publish("invoice.posted", catalog["invoice.posted"].sample)
    fan_out()
    waiting, of_another = Delivery.objects.order_by("subscription_id")
    assert (waiting.status, waiting.recipient) == ("pending", "Reader@Example.com")
    link = opt_out.link(subscription.pk, "READER@example.com")
    Client().post(link[link.index("/unsubscribe/") :])

    assert OptOut.objects.get().address == "reader@example.com"
    waiting.refresh_from_db()
    assert (waiting.status, waiting.last_error) == ("cancelled", opt_out.REASON)
    of_another.refresh_from_db()
    assert of_another.status == "pending"


def test_where_recipients_must_be_told_there_is_no_way_out(sent, catalog):
    subscription = sent.subscription
    link = opt_out.link(subscription.pk, "reader@example.com")
    path = link[link.index("/unsubscribe/") :]
    subscription.allows_opt_out = False
    subscription.save()
    assert b"cannot be left" in Client().post(path).content
    assert not OptOut.objects.exists()
    # Those who left while they could are told again.
    OptOut.objects.create(subscription=subscription, address="reader@example.com")
    assert mailed(catalog).status == "delivered"


def test_what_waits_for_a_suppressed_address_is_taken_back(catalog, smtp_sink):
    SmtpProfileFactory()
    subscription = EmailSubscriptionFactory(address="reader@example.com")
    subscription.is_paused = True
    subscription.save()
    publish("invoice.posted", catalog["invoice.posted"].sample)
    fan_out()
    waiting = Delivery.objects.get()
    suppress.suppress("READER@example.com", reason=Suppression.Reason.COMPLAINED, detail="ARF report")
    waiting.refresh_from_db()
    assert waiting.status == "cancelled"
    assert waiting.last_error == "The address is suppressed: Its owner complained of spam."


def test_all_that_waits_for_a_suppressed_address_is_taken_back_however_much(catalog, smtp_sink, monkeypatch):
    SmtpProfileFactory()
    EmailSubscriptionFactory(address="Reader@Example.com", is_paused=True)
    for _ in range(5):
        publish("invoice.posted", catalog["invoice.posted"].sample)
    fan_out()
    monkeypatch.setattr(operate, "LIMIT", 2)
    with CaptureQueriesContext(connection) as captured:
        assert withdraw("reader@example.com", "Reader@Example.com", why="Gone.") == 5
    assert list(Delivery.objects.values_list("status", "last_error")) == [("cancelled", "Gone.")] * 5
    # Whoever locks a channel after a delivery may wait for a worker that waits for it.
    locked = [
        query["sql"].partition(' FROM "notifications_')[2].partition('"')[0]
        for query in captured
        if "FOR UPDATE" in query["sql"]
    ]
    assert locked.count("delivery") == 3
    # Those of all batches, and then those of the first one.
    assert locked[: locked.index("delivery")] == ["channel", "lane"] * 2


def test_a_report_that_cannot_be_kept_takes_back_no_other_one(sent):
    source = feed.Source(profile=SmtpProfile.objects.get(), provider="postmark")
    bounce = {"kind": "bounced", "metadata": {"delivery": sent.public_id}, "detail": "550 5.1.1 unknown"}
    never: Any = "never"
    reports = [
        feed.Report(recipient=each, occurred_at=at, **bounce)
        for each, at in ((sent.recipient, None), ("a@example.com", never))
    ]
    with (
        pytest.raises(ValidationError, match="invalid format"),
        CaptureQueriesContext(connection) as captured,
    ):
        feed.take(source, reports)
    sent.refresh_from_db()
    assert (sent.status, DeliveryFeedback.objects.get().delivery) == ("dead", sent)
    # Its status is written after what waits was taken back: channels are locked before deliveries.
    told = [query["sql"] for query in captured]
    suppressed = next(at for at, sql in enumerate(told) if 'INSERT INTO "notifications_suppression"' in sql)
    died = next(at for at, sql in enumerate(told) if "'dead'" in sql and sql.startswith("UPDATE"))
    assert suppressed < died


def test_looking_up_who_is_not_mailed_costs_one_statement_a_batch(catalog):
    SmtpProfileFactory()
    EmailSubscriptionFactory(address="reader@example.com")
    counts = []
    for number in (3, 60):
        for _ in range(number):
            publish("invoice.posted", catalog["invoice.posted"].sample)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            fan_out()
        counts.append([query["sql"] for query in captured if "notifications_optout" in query["sql"]])
    assert [len(found) for found in counts] == [1, 1]
    assert Delivery.objects.count() == 63


@pytest.fixture
def api(catalog: Any) -> Client:
    scopes = [Scope.CONFIG_READ, Scope.CONFIG_WRITE, Scope.DELIVERIES_READ, Scope.DELIVERIES_OPERATE]
    _, token = create_key(subscriber=SubscriberFactory(), name="desk", scopes=scopes)
    return Client(headers={"Authorization": f"Bearer {token}"})


def test_addresses_are_suppressed_and_released_by_the_api(api):
    def call(path: str, body: Any) -> Any:
        return api.post(f"/api/v1/suppressions/{path}", json.dumps(body), content_type="application/json")

    made = call("", {"address": "Gone@Example.com", "detail": "asked by phone"})
    assert (made.status_code, made.json()["address"], made.json()["reason"]) == (
        201,
        "gone@example.com",
        "manual",
    )
    assert call("", {"address": "gone@example.com"}).status_code == 400
    [found] = api.get("/api/v1/suppressions/?address=GONE@example.com&released=false").json()["results"]
    released = call(f"{found['id']}/release/", {"reason": "back"})
    assert (released.status_code, released.json()["released_at"] is None) == (200, False)
    assert api.get("/api/v1/suppressions/?released=false").json()["results"] == []
    actions = AuditEntry.objects.filter(subject="gone@example.com").order_by("id")
    assert [(row.action, row.reason) for row in actions] == [
        ("suppression.create", "asked by phone"),
        ("suppression.release", "back"),
    ]


def test_opt_outs_are_listed_and_taken_back_by_the_api(api):
    subscription = EmailSubscriptionFactory(allows_opt_out=True)
    row = OptOut.objects.create(subscription=subscription, address="reader@example.com", is_one_click=True)
    [found] = api.get("/api/v1/opt-outs/?address=Reader@example.com").json()["results"]
    assert (found["id"], found["subscription"], found["is_one_click"]) == (row.pk, subscription.pk, True)
    assert api.get("/api/v1/opt-outs/?address=other@example.com").json()["results"] == []
    path = f"/api/v1/opt-outs/{row.pk}/subscribe-again/"
    assert api.post(path, {"why": "?"}, content_type="application/json").status_code == 400
    again = api.post(path, {"reason": "asked by mail"}, content_type="application/json")
    assert (again.status_code, again.json()) == (200, {"subscribed_again": 1})
    assert not OptOut.objects.exists()
    assert [(each.action, each.reason) for each in AuditEntry.objects.all()] == [
        ("optout.withdraw", "asked by mail")
    ]


def test_feedback_addresses_are_managed_by_the_api_as_in_the_console(api):
    def call(method: str, path: str, body: Any) -> Any:
        send = getattr(api, method)
        given = {"data": json.dumps(body), "content_type": "application/json"} if body is not None else {}
        answer = send(f"/api/v1/feedback-addresses/{path}", **given)
        return answer.status_code, answer.json() if answer.content else None

    smtp, mailgun = SmtpProfileFactory(), SmtpProfileFactory(is_default=False, kind="mailgun")
    status, faults = call("post", "", {"profile": mailgun.pk})
    assert (status, [each["field"] for each in faults["errors"]]) == (400, ["/signing_key"])
    status, faults = call("post", "", {"profile": mailgun.pk, "provider": "resend", "signing_key": "k"})
    assert (status, faults["errors"]) == (
        400,
        [{"field": "/provider", "detail": "The profile is one of Mailgun: leave this empty."}],
    )
    status, made = call("post", "", {"profile": mailgun.pk, "signing_key": "k" * 20})
    assert (status, made["provider"], "signing_key" in made) == (201, "mailgun", False)
    row = FeedbackAddress.objects.get()
    token = made["url"].split("/")[-2]
    assert row.token_hash == feedback_address.hashed(token)
    assert call("get", f"{row.pk}/", None)[1]["url"] == ""
    assert call("patch", f"{row.pk}/", {"keeps_opens": True})[1]["keeps_opens"] is True
    renewed = call("post", f"{row.pk}/renew/", {"reason": "it leaked"})[1]["url"]
    row.refresh_from_db()
    assert row.token_hash == feedback_address.hashed(renewed.split("/")[-2])
    assert row.signing_key == "k" * 20
    assert call("post", "", {"profile": smtp.pk})[1]["provider"] == "smtp"
    assert call("post", "", {"profile": smtp.pk})[0] == 400
    assert AuditEntry.objects.filter(action="feedbackaddress.renew", reason="it leaked").count() == 1
    assert call("delete", f"{row.pk}/", None)[0] == 204


def test_templates_are_managed_by_the_api_as_in_the_console(api):
    def call(method: str, path: str, body: Any) -> Any:
        send = getattr(api, method)
        return send(f"/api/v1/{path}", json.dumps(body), content_type="application/json")

    assert call("post", "layouts/", {"name": "Plain", "html": "<p>{{ content }}</p>"}).status_code == 201
    assert call("post", "partials/", {"name": "foot", "html": "<b>bye</b>"}).status_code == 201
    given = {"name": "Posted", "event_types": ["invoice.posted"], "layout": "Plain",
             "subject": "{{ invoice.numbr }}", "html": '{{ invoice.total }}{% render "foot" %}',
             "variants": [{"locale": "de", "subject": "Rechnung", "text": "{{ invoice.number }}"}]}  # fmt: skip
    refused = call("post", "templates/", given)
    assert refused.status_code == 400
    assert "Did you mean “invoice.number”?" in refused.content.decode()
    assert not EmailTemplate.objects.exists()

    made = call("post", "templates/", {**given, "subject": "{{ invoice.number }}"})
    assert made.status_code == 201, made.content
    pk = made.json()["id"]
    assert made.json()["variants"][0]["locale"] == "de"
    for path in ("layouts", "partials"):
        row = api.get(f"/api/v1/{path}/").json()["results"][0]
        assert api.delete(f"/api/v1/{path}/{row['id']}/").status_code in (400, 409)
    twice = {"variants": [given["variants"][0]] * 2}
    assert "given twice: de" in call("patch", f"templates/{pk}/", twice).content.decode()
    assert call("patch", f"templates/{pk}/", {"variants": []}).json()["variants"] == []
    assert api.delete(f"/api/v1/templates/{pk}/").status_code == 204


class TestConsole:
    """The pages of the console."""

    @pytest.fixture
    def console(self, db: None) -> Client:
        client = Client()
        client.force_login(get_user_model().objects.create_superuser("admin", "admin@example.com"))
        return client

    def test_a_mail_is_previewed_in_its_own_frame_and_sent_to_oneself(self, sent, console, smtp_sink):
        template = sent.subscription.email_template
        template.event_types.add(sent.event.type)
        url = reverse("admin:notifications_emailtemplate_preview", args=[template.pk])
        query = f"?event_type={sent.event.type_id}&event={sent.event.public_id}"
        shown = console.get(url + query).content.decode()
        assert sent.event.public_id in shown
        assert '<iframe sandbox class="phone"' in shown
        frame = console.get(f"{url}html/{query}")
        assert frame["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
        assert frame["Content-Security-Policy"].endswith("sandbox")
        assert frame["X-Frame-Options"] == "SAMEORIGIN"

        before = len(smtp_sink.mails)
        profile = SmtpProfile.objects.get()
        answer = console.post(f"{url}send/{query}", {"profile": profile.pk}).content.decode()
        assert "The test was sent to admin@example.com" in answer
        assert len(smtp_sink.mails) == before + 1
        mail = smtp_sink.mails[-1]
        assert mail.recipients == ("admin@example.com",)
        assert mail.parsed()["Subject"].startswith("[Test] ")
        assert AuditEntry.objects.filter(action="emailtemplate.test").count() == 1

        wrong = console.get(f"{url}?event_type={sent.event.type_id}&event=evt_none").content.decode()
        assert "There is no event evt_none." in wrong

    def test_an_email_subscription_sends_its_mail_to_whoever_asks(self, sent, console, smtp_sink):
        subscription = sent.subscription
        page = reverse("admin:notifications_subscription_change", args=[subscription.pk])
        answer = console.get(page).content.decode()
        assert "Send test to me…" in answer
        assert "One request to its endpoint" not in answer
        go = console.post(
            reverse("admin:notifications_subscription_do", args=[subscription.pk, "send_test_to_me"])
        )
        url = reverse("admin:notifications_subscription_test_mail", args=[subscription.pk])
        assert (go.status_code, go.headers["Location"]) == (302, url)

        own = SmtpProfileFactory(name="Own", is_default=False, from_address="own@example.com")
        subscription.profile = own
        subscription.save()
        subscription.email_template.event_types.set([sent.event.type])
        before = len(smtp_sink.mails)
        code = sent.event.type.code
        answer = console.post(url, {"event_type": code, "event": sent.event.public_id}).content.decode()
        assert "The test was sent to admin@example.com" in answer
        assert "By the profile Own" in answer
        assert len(smtp_sink.mails) == before + 1
        mail = smtp_sink.mails[-1]
        assert (mail.sender, mail.recipients) == ("own@example.com", ("admin@example.com",))
        assert mail.parsed()["Subject"].startswith("[Test] ")
        assert "List-Unsubscribe" in mail.parsed()
        wrong = console.post(url, {"event_type": code, "event": "evt_none"}).content.decode()
        assert "Nothing was sent. There is no event evt_none." in wrong
        get_user_model().objects.update(email="")
        assert "Your user has no email address" in console.post(url, {"event_type": code}).content.decode()
        assert len(smtp_sink.mails) == before + 1
        [entry] = AuditEntry.objects.filter(action="emailtemplate.test")
        assert f"as {subscription} sends it" in entry.subject

    def test_a_feedback_url_is_shown_once(self, sent, console):
        add = reverse("admin:notifications_feedbackaddress_add")
        given = {"profile": SmtpProfile.objects.get().pk, "provider": "mailgun", "new_signing_key": ""}
        assert "enter its webhook signing key" in console.post(add, given).content.decode()
        made = console.post(add, {**given, "new_signing_key": "k" * 20})
        [token] = re.findall(r"/feedback/([\w-]{40,})/", made.content.decode())
        row = FeedbackAddress.objects.get()
        assert (row.signing_key, row.token_hash) == ("k" * 20, feedback_address.hashed(token))
        change = reverse("admin:notifications_feedbackaddress_change", args=[row.pk])
        assert token not in console.get(change).content.decode()

    def test_support_sees_why_and_releases(self, sent, console):
        add = reverse("admin:notifications_suppression_add")
        assert console.post(add, {"address": "Reader@Example.com", "detail": "asked"}).status_code == 302
        row = Suppression.objects.get()
        page = console.get(reverse("admin:notifications_suppression_changelist") + "?q=reader@example.com")
        assert "asked" in page.content.decode()
        console.post(
            reverse("admin:notifications_suppression_do", args=[row.pk, "release"]), {"reason": "ok"}
        )
        row.refresh_from_db()
        assert row.released_by == "admin"
