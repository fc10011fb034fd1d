"""A billing system that publishes, a receiver's subscriber that listens, and a key of each kind."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from events.keys import create_key
from events.models import Event, EventType, Grant, Queue, Scope, Subscriber
from notifications.fan_out import fan_out
from notifications.models import Delivery, Subscription
from tests.factories import EndpointFactory, QueueFactory, SubscriberFactory, WebhookSubscriptionFactory

PROBLEM = "application/problem+json"


class Api:
    """The HTTP API with one key."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {token}"})

    def __call__(self, method: str, path: str, body: Any = None, *, status: int | None = None) -> Any:
        """Return the answer's JSON, and fail if its status is not the expected one."""
        content = body if isinstance(body, str) else json.dumps(body)
        options = {} if body is None else {"data": content, "content_type": "application/json"}
        response = getattr(self._client, method)(f"/api/v1/{path}", **options)
        if status is not None:
            assert response.status_code == status, response.content
        if response.status_code >= 400:
            assert response["Content-Type"] == PROBLEM, response.content
        self.status = response.status_code
        return json.loads(response.content) if response.content else None


@dataclass
class Scene:
    """Who takes part, and what they publish."""

    queue: Queue
    hooks: Subscription
    publisher: Subscriber
    api: Api
    """The publisher's key, with every scope of events."""
    apis: dict[str, Api] = field(default_factory=dict)

    def publish(self, *, amount: str = "1.00", account: str = "1001", **members: Any) -> str:
        """Publish an event over HTTP, and return its id."""
        data = f'{{"account": {{"id": "{account}"}}, "invoice": {{"number": "INV-1", "total": {amount}}}}}'
        envelope = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members.items())
        body = f'{{"type": "invoice.posted", "data": {data}{", " + envelope if envelope else ""}}}'
        return str(self.api("post", "events/", body, status=201)["id"])

    def fanned_out(self, **members: Any) -> tuple[str, Delivery]:
        """Publish an event, fan it out, and return its id and its delivery to the hooks."""
        event = self.publish(**members)
        fan_out()
        return event, Delivery.objects.select_related("event").get(
            event__uid=event.removeprefix("evt_"), subscription=self.hooks
        )

    def key(self, *scopes: str, subscriber: Subscriber | None = None, **options: Any) -> Api:
        """Return the API with a new key, by default of the subscriber that listens."""
        owner = subscriber or self.hooks.subscriber
        return Api(create_key(subscriber=owner, name="key", scopes=scopes or Scope.values, **options)[1])


def event_of(public_id: str) -> Event:
    """Return the event of a public id."""
    return Event.objects.get(uid=public_id.removeprefix("evt_"))


@pytest.fixture
def scene(catalog: dict[str, EventType]) -> Scene:
    """An in-order queue with one webhook subscription, and a publisher who may do everything on it."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_eventtype SET schema = '{}'")
    Queue.objects.all().delete()
    queue = QueueFactory(name="billing")
    hooks = WebhookSubscriptionFactory(name="hooks", queue=queue, endpoint=EndpointFactory(name="main"))
    publisher = SubscriberFactory(name="Billing")
    Grant.objects.create(subscriber=publisher, queue=queue, can_create=True, can_update=True, can_delete=True)
    scopes = [Scope.EVENTS_CREATE, Scope.EVENTS_UPDATE, Scope.EVENTS_DELETE, Scope.EVENTS_READ]
    _, token = create_key(subscriber=publisher, name="billing", scopes=scopes)
    return Scene(queue=queue, hooks=hooks, publisher=publisher, api=Api(token))
