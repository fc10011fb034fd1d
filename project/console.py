"""The console: Django's admin under the product's name."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest

# What people work with, in the order they meet it; the apps that follow are in Django's own order.
FIRST = ("notifications", "events", "smtpprofiles")
# Machinery that only superusers look at.
INNER = ("axes", "django_q")


class ConsoleSite(AdminSite):
    """The one admin site; every app registers on it through `admin.register`."""

    site_header = "Bellwether"
    site_title = "Bellwether"
    index_title = "Event notifications"
    # The product has no public site to go to.
    site_url = None
    enable_nav_sidebar = True
    empty_value_display = "—"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The apps of the index and the sidebar, ours first."""
        apps: list[Any] = super().get_app_list(request, app_label)
        is_superuser = bool(getattr(request.user, "is_superuser", False))
        shown = [app for app in apps if is_superuser or app["app_label"] not in INNER]
        return sorted(shown, key=lambda app: _place(app["app_label"]))


def _place(app_label: str) -> int:
    places = {label: place for place, label in enumerate((*FIRST, "", *INNER))}
    return places.get(app_label, places[""])
