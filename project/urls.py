"""Every path of the product."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.defaults import server_error as html_server_error
from django.views.generic import RedirectView

from events import problems
from project import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", RedirectView.as_view(url=static("console/icon.svg"))),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("", include("notifications.urls")),
    path("api/v1/", include("events.api.urls")),
    path("api/v1/", include("notifications.api.urls")),
    re_path(r"^api/", problems.not_found),
]


def handler500(request: HttpRequest) -> HttpResponseBase:
    """A bug of ours, told to programs as a problem document and to people as a page."""
    if request.path.startswith("/api/"):
        return problems.server_error(request)
    return html_server_error(request)
