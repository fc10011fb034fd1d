"""notifications as a Django app."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Registers the app, its checks, and what it does when others change."""

    name = "notifications"

    def ready(self) -> None:
        """Connect the signals that cross into this app."""
        from . import busy, checks, hearers, misfit_receivers, receivers, would_receive  # noqa: F401
