"""The project's own two apps: its commands and checks, and the console in the admin's place."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ProjectConfig(AppConfig):
    """Commands and checks of the installation as a whole."""

    name = "project"

    def ready(self) -> None:
        """Register the system checks."""
        from . import checks  # noqa: F401


class ConsoleConfig(AdminConfig):
    """Django's admin, served by our own site."""

    default_site = "project.console.ConsoleSite"
