"""Rows that tests start from."""

from typing import Any

import factory
from django.contrib.auth import get_user_model
from factory.django import DjangoModelFactory

from events.models import EventType, Queue, Route, Subscriber
from notifications.models import EmailTemplate, Endpoint, Recipient, Subscription
from smtpprofiles.models import SmtpProfile
from tests.servers import MAIL_SERVER, PASSWORD, RECEIVER, USERNAME


class SubscriberFactory(DjangoModelFactory[Subscriber]):
    class Meta:
        model = Subscriber

    name = factory.Sequence(lambda n: f"Subscriber {n}")


class QueueFactory(DjangoModelFactory[Queue]):
    """A queue into which every event type of the database flows."""

    class Meta:
        model = Queue
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"queue-{n}")
    is_ordered = True

    @factory.post_generation
    def routes(self, create: bool, extracted: Any, **_: Any) -> None:
        Route.objects.bulk_create(Route(queue=self, event_type=each) for each in EventType.objects.all())


class EndpointFactory(DjangoModelFactory[Endpoint]):
    class Meta:
        model = Endpoint

    subscriber = factory.SubFactory(SubscriberFactory)
    name = factory.Sequence(lambda n: f"Endpoint {n}")
    base_url = f"https://{RECEIVER}"
    path = "/hook"


class WebhookSubscriptionFactory(DjangoModelFactory[Subscription]):
    class Meta:
        model = Subscription

    endpoint = factory.SubFactory(EndpointFactory)
    subscriber = factory.SelfAttribute("endpoint.subscriber")
    name = factory.Sequence(lambda n: f"Webhooks {n}")
    queue = factory.SubFactory(QueueFactory)


class SmtpProfileFactory(DjangoModelFactory[SmtpProfile]):
    class Meta:
        model = SmtpProfile

    name = factory.Sequence(lambda n: f"Profile {n}")
    host = MAIL_SERVER
    port = 587
    security = "starttls"
    username = USERNAME
    password = PASSWORD
    from_name = "Example Telecom Billing"
    from_address = "billing@example.com"
    is_default = True


class EmailTemplateFactory(DjangoModelFactory[EmailTemplate]):
    class Meta:
        model = EmailTemplate

    name = factory.Sequence(lambda n: f"Template {n}")
    subject = "{{ event.label }}"
    text = "{{ event.id }} happened at {{ event.occurred_at }}."
    html = "<p>{{ event.id }} happened.</p>"


class EmailSubscriptionFactory(DjangoModelFactory[Subscription]):
    """Mails to the given `address`, or ops@example.com."""

    class Meta:
        model = Subscription
        skip_postgeneration_save = True

    subscriber = factory.SubFactory(SubscriberFactory)
    name = factory.Sequence(lambda n: f"Mails {n}")
    queue = factory.SubFactory(QueueFactory)
    email_template = factory.SubFactory(EmailTemplateFactory)

    @factory.post_generation
    def address(self, create: bool, extracted: str | None, **_: Any) -> None:
        Recipient.objects.create(subscription=self, address=extracted or "ops@example.com")


class UserFactory(DjangoModelFactory[Any]):
    class Meta:
        model = get_user_model()

    username = factory.Sequence(lambda n: f"user{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
