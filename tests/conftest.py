"""Fixtures for all tests: real servers, a fresh catalog cache, a filled catalog."""

from collections.abc import Iterator

import django
import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.base.creation import TEST_DATABASE_PREFIX
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests import database, tables

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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep the tables as the migrations leave them, and put them back after each test that commits."""
    # Where no test asks for a database, none was made.
    if connection.settings_dict["NAME"].startswith(TEST_DATABASE_PREFIX):
        with django_db_blocker.unblock():
            tables.keep(tables.MIGRATED)
            sync.sync()
            tables.keep(tables.CATALOG)
            tables.put_back(tables.MIGRATED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: tables.put_back(tables.MIGRATED))
        yield


@pytest.fixture(scope="session", autouse=True)
def announcements_ended(django_db_setup: None) -> Iterator[None]:
    """The thread that announces lets go of the database before it is deleted."""
    yield
    nudge.end()


@pytest.fixture
def catalog(transactional_db: None) -> dict[str, EventType]:
    """The built-in event types as rows, by code; committed, so that worker processes see them."""
    tables.fill(tables.CATALOG)
    return {event_type.code: event_type for event_type in EventType.objects.all()}
