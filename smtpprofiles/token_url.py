"""The URL of a token server: https, a host name, and nothing that two programs could read differently."""

import unicodedata
from urllib.parse import urlsplit

import idna
from django.core.exceptions import ValidationError

from . import guard

LONGEST = 2048


def validate_token_url(value: str) -> None:
    """ValidationError that says what is wrong with a token URL and what would be right."""
    if len(value) > LONGEST:
        raise ValidationError(
            f"The token URL has {len(value):,} characters; at most {LONGEST:,} are allowed.", code="length"
        )
    if any(unicodedata.category(character)[0] in "CZ" or character == "\\" for character in value):
        raise ValidationError(
            "The token URL holds a space, a backslash or an invisible character. Remove it."
        )
    if not value.isascii():
        raise ValidationError(
            "Write the token URL in ASCII: international host names as xn--…, the rest with %."
        )
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
        if guard.literal_address(host) is None:
            idna.encode(host, uts46=True)
    except ValueError as error:
        raise ValidationError("The host or port of the token URL is none.", code="host") from error
    if parts.scheme != "https" or not host:
        raise ValidationError(
            "The token URL starts with https:// and a host, such as https://login.example.com/oauth2/token.",
            code="scheme",
        )
    if "@" in parts.netloc:
        raise ValidationError(
            "The token URL holds no user name or password. Client ID and secret have their fields."
        )
    if "#" in value:
        raise ValidationError("A fragment (#…) never reaches a token server. Leave it out.", code="fragment")
    if port == 0:
        raise ValidationError("Port 0 does not exist. Leave it out for 443.", code="port")
