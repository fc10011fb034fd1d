"""Every kind of event, from the HTTP API to a webhook and a mailbox."""

import json

import pytest
from standardwebhooks import Webhook

from events.keys import create_key
from events.models import Event, Grant, Queue
from notifications.engine import Engine
from notifications.models import Delivery
from tests.factories import (
    EmailSubscriptionFactory,
    EmailTemplateFactory,
    SmtpProfileFactory,
    WebhookSubscriptionFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_shipped_kind_reaches_a_webhook_and_a_mailbox(catalog, client, https_receiver, smtp_sink):
    SmtpProfileFactory()
    webhooks = WebhookSubscriptionFactory(queue=Queue.objects.get(name="billing"))
    EmailSubscriptionFactory(
        queue=webhooks.queue,
        email_template=EmailTemplateFactory(subject="{{ event.type }}", text="{{ event.id }}"),
    )
    Grant.objects.create(subscriber=webhooks.subscriber, queue=webhooks.queue, can_create=True)
    _, token = create_key(subscriber=webhooks.subscriber, name="test", scopes=["events:create"])
    assert len(catalog) == 23

    for code, event_type in catalog.items():
        response = client.post(
            "/api/v1/events/",
            json.dumps({"type": code, "data": event_type.sample}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert response.status_code == 201, response.content
    Engine(until_idle=True).run()

    ids = {event.type.code: event.public_id for event in Event.objects.select_related("type")}
    verified = [Webhook(webhooks.endpoint.secret).verify(r.body, r.headers) for r in https_receiver.received]
    assert {body["type"]: body["id"] for body in verified} == ids
    assert len(verified) == 23
    assert all(body["data"] == catalog[body["type"]].sample for body in verified)
    mails = [mail.parsed() for mail in smtp_sink.mails]
    assert {m["Subject"]: m.get_body(("plain",)).get_content().strip() for m in mails} == ids
    assert len(mails) == 23
    assert Delivery.objects.filter(status="delivered").count() == 46
