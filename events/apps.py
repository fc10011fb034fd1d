"""events as a Django app."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Registers the app and its checks."""

    name = "events"

    def ready(self) -> None:
        """Register the system checks."""
        from . import checks  # noqa: F401
