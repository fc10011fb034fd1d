"""What the single fields of a profile may hold; each refusal says what would be right."""

import re
from urllib.parse import urlsplit

import idna
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from .guard import literal_address

one_line = RegexValidator(
    re.compile(r"[\x00-\x1f\x7f]"),
    "Line breaks and control characters are not allowed here.",
    inverse_match=True,
)
ascii_only = RegexValidator(
    r"\A[\x20-\x7e]*\Z", "Mail servers take user names and passwords in plain ASCII only."
)

validate_region = RegexValidator(
    r"\A[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z", "Write the region as Amazon does: eu-central-1, us-east-1."
)


def validate_host(value: str) -> None:
    """ValidationError unless the value is a host name or an address, and nothing more."""
    try:
        if literal_address(value) is None:
            idna.encode(value.removesuffix("."), uts46=True)
    except ValueError as error:
        raise ValidationError(
            f"{value!r} is not a host name. Write only the name, such as smtp.example.com; "
            "the port has a field of its own.",
            code="host",
        ) from error


def validate_https_url(value: str) -> None:
    """ValidationError unless it is an https URL on the usual port, without user, password and fragment."""
    try:
        parts = urlsplit(value)
        is_good = parts.scheme == "https" and parts.hostname and parts.port in (None, 443)
        if literal_address(parts.hostname or "-") is None:
            idna.encode(parts.hostname or "", uts46=True)
    except ValueError:
        is_good = False
    if not is_good or parts.username or parts.password or parts.fragment or re.search(r"[\s\x7f]", value):
        raise ValidationError(
            "Write an address such as https://api.example.com/v3: https, no port, no user name, no fragment.",
            code="url",
        )
