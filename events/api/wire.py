"""Bodies on the wire: read as the bytes that came, written so that payloads keep theirs."""

from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any

import msgspec
from django.utils.encoding import force_str
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer

MAX_BODY = 10 * 1024 * 1024
_ENCODER = msgspec.json.Encoder(enc_hook=force_str)


class RequestTooLarge(APIException):
    """The body is longer than any call takes."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body may have {MAX_BODY} bytes (10 MB); send less at once."
    default_code = "too_large"


class RawBody(BaseParser):
    """Hands the body over as bytes: parsing it with Python's json would lose how numbers were written."""

    media_type = "application/json"

    def parse(  # type: ignore[override]  # REST framework hands anything through
        self,
        stream: Any,
        media_type: str | None = None,  # noqa: ARG002
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> bytes:
        """Return the whole body; RequestTooLarge past 10 MB."""
        body: bytes = stream.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise RequestTooLarge
        return body


class JSONBody(JSONParser):
    """Parses the body of a call that configures; one too long or nested too deeply is told so."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the values; RequestTooLarge past 10 MB."""
        body = BytesIO(RawBody().parse(stream))
        try:
            return super().parse(body, media_type, dict(parser_context or {}))
        except RecursionError:
            raise ParseError("The body is nested too deeply; flatten it.") from None


class JSON(BaseRenderer):
    """Writes JSON; a `msgspec.Raw` inside goes out byte for byte."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,  # noqa: ARG002
        renderer_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> bytes:
        """Return the bytes of the answer; datetimes are ISO 8601, decimals strings."""
        return b"" if data is None else _ENCODER.encode(data)
