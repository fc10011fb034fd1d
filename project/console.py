"""The console: Django's admin under the product's name, with a start page of its own."""

from contextlib import AbstractContextManager
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse

from smtpprofiles.encryption import unopened

from . import groups
from .start import context, dismiss, find


class ConsoleSite(AdminSite):
    """The one admin site; every app registers on it through `admin.register`."""

    site_header = "Bellwether"
    site_title = "Bellwether"
    index_title = "Event notifications"
    index_template = "admin/start.html"
    # The product has no public site to go to.
    site_url = None
    enable_nav_sidebar = True
    empty_value_display = "—"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Beside Django's own, those of the start page."""
        ours: list[URLPattern | URLResolver] = [
            path("find/", self.admin_view(find), name="find"),
            path("first-steps/", self.admin_view(dismiss), name="dismiss_first_steps"),
        ]
        return [*ours, *super().get_urls()]

    @staticmethod
    def unopened() -> AbstractContextManager[None]:
        """Within it, rows are read without opening their secrets, of which one may be what cannot be read."""
        return unopened()

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The pages of the start page and the sidebar, by task; of one app, as Django has them."""
        apps: list[Any] = super().get_app_list(request, app_label)
        is_superuser = bool(getattr(request.user, "is_superuser", False))
        shown = [app for app in apps if is_superuser or app["app_label"] not in groups.INNER]
        return shown if app_label else groups.grouped(shown, home=reverse("admin:index"))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The start page."""
        return super().index(request, {**context(request), **(extra_context or {})})
