"""What tests of the console start from: somebody logged in, and a subscription with an endpoint."""

from typing import Any

import pytest
from django.test import Client

from tests import tables
from tests.factories import EndpointFactory, QueueFactory, WebhookSubscriptionFactory


@pytest.fixture
def event_types(db: None) -> None:
    """The catalog as rows, in the test's own transaction."""
    tables.fill(tables.CATALOG)


@pytest.fixture
def console(client: Client, admin_user: Any) -> Client:
    """Logged in as an administrator."""
    client.force_login(admin_user)
    return client


@pytest.fixture
def hooks(db: None) -> Any:
    """A webhook subscription of a queue, both with the names that pages show."""
    queue = QueueFactory(name="invoices")
    return WebhookSubscriptionFactory(name="hooks", queue=queue, endpoint=EndpointFactory(name="main"))
