"""Fixtures for all tests: real servers, a fresh catalog cache, a filled catalog."""

from collections.abc import Iterator

import django
import pytest
from django.conf import settings
from django.db import connection

from tests import database

database.begin()  # before anything reads the settings
django.setup()  # the factories and fixtures import models
# A login costs half a second with the real one, and nobody attacks these passwords.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

from events import authentication, catalog_cache, sync  # noqa: E402
from events.models import EventType  # noqa: E402
from notifications import nudge  # noqa: E402
from notifications.transports import clock  # noqa: E402

pytest_plugins = ["tests.servers"]


@pytest.fixture(autouse=True)
def fresh_catalog_cache() -> Iterator[None]:
    """No test sees the event types of another, or its time."""
    catalog_cache.clear()
    authentication.clear()
    clock.forget()  # a test may have travelled in time
    yield
    catalog_cache.clear()
    authentication.clear()


@pytest.fixture(scope="session", autouse=True)
def announcements_ended(django_db_setup: None) -> Iterator[None]:
    """The thread that announces lets go of the database before it is deleted."""
    yield
    nudge.end()


@pytest.fixture
def catalog(transactional_db: None) -> dict[str, EventType]:
    """The 17 event types as rows, by code; committed, so that worker processes see them."""
    with connection.cursor() as cursor:
        # Django empties the tables it manages; the partitioned ones are ours.
        cursor.execute("TRUNCATE notifications_attempt, notifications_renderedbody, events_change")
    sync.sync()
    return {event_type.code: event_type for event_type in EventType.objects.all()}
