"""What drf-spectacular cannot read from the code."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularSwaggerSplitView


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The API key, as a bearer token."""

    target_class = "events.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """Return the security scheme object."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "bwk_…"}


class DocsView(SpectacularSwaggerSplitView):
    """The human pages; nothing inline, so that the Content-Security-Policy stays as strict as elsewhere."""

    template_name = "events/api_docs.html"
