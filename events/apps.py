"""events as a Django app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Registers the app, its checks, and what it does when others change."""

    name = "events"

    def ready(self) -> None:
        """Register the system checks, and connect the signals."""
        from . import checks, receivers  # noqa: F401
