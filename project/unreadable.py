"""Telling an administrator of a stored secret that no key opens, on a page instead of as an error of ours."""

from collections.abc import Callable

import structlog
from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse

from smtpprofiles.encryption import SecretUnreadable

log = structlog.get_logger(__name__)


class UnreadableSecretMiddleware:
    """Answers the console's requests that came upon such a secret; what they had begun is rolled back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer it."""
        return self._get_response(request)

    @staticmethod
    def process_exception(request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Return the page; nothing for any other error, and for programs."""
        if not isinstance(exception, SecretUnreadable) or not request.path.startswith(reverse("admin:index")):
            return None
        log.error("a stored secret cannot be read", path=request.path, error=str(exception))
        match = request.resolver_match
        url = ""
        if match and match.url_name and match.url_name.rpartition("_")[2] in {"change", "delete", "do"}:
            url = reverse(f"admin:{match.url_name.rpartition('_')[0]}_changelist")
        context = {
            **admin.site.each_context(request),
            "title": "A stored secret cannot be read",
            "told": str(exception),
            "list_url": url,
        }
        page = TemplateResponse(request, "admin/unreadable.html", context, status=409)
        return page.render()
