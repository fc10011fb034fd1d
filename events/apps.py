"""events as a Django app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Registers the app."""

    name = "events"
