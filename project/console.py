"""The console: Django's admin under the product's name."""

from django.contrib.admin import AdminSite


class ConsoleSite(AdminSite):
    """The one admin site; every app registers on it through `admin.register`."""

    site_header = "Bellwether"
    site_title = "Bellwether"
    index_title = "Event notifications"
    # The product has no public site to go to.
    site_url = None
    enable_nav_sidebar = True
    empty_value_display = "—"
