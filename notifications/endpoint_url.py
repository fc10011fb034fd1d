"""The URL of a webhook receiver: a base URL and a path, checked when saved and joined when sent.

https only, no port written, nothing in it that two programs could read differently. Whether its host may
be connected to is decided by the address guard at each connection; only hosts that are addresses
are refused here already.
"""

import re
import unicodedata
from urllib.parse import quote, unquote, urlsplit

import idna
from django.conf import settings
from django.core.exceptions import ValidationError

from smtpprofiles import guard

LONGEST = 2048
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Everything RFC 3986 allows in a path and query, and % because it is kept where it was written.
_KEPT = "/:@!$&'()*+,;=-._~%?"


def validate_base_url(value: str) -> None:
    """ValidationError that says what is wrong with a base URL and what would be right."""
    _normalised(value)


def normalise_base_url(value: str) -> str:
    """A base URL as it is stored: scheme and host in lower case, international names as IDNA.

    One that is not valid comes back as it is; saying so is for `validate_base_url`.
    """
    try:
        return _normalised(value)
    except ValidationError:
        return value


def validate_path(value: str) -> None:
    """ValidationError that says what is wrong with a path below a base URL."""
    _refuse_characters(value, "path")
    if len(value) > LONGEST:
        raise ValidationError(f"The path is too long: at most {LONGEST:,} characters.", code="length")
    if value.startswith("//") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        raise ValidationError(
            "Give only the path, such as /hooks/billing; the host belongs in the base URL.", code="host"
        )
    if "#" in value:
        raise ValidationError("A fragment (#…) never reaches a receiver. Leave it out.", code="fragment")
    _refuse_detours(value.partition("?")[0])


def join(base_url: str, path: str) -> str:
    """The URL to call: path and query below the base URL; ValidationError if either is not valid."""
    base = _normalised(base_url)
    validate_path(path)
    if not path:
        return base
    if path.startswith("?"):
        return base + quote(path, safe=_KEPT)
    return base.rstrip("/") + "/" + quote(path.lstrip("/"), safe=_KEPT)


def _normalised(value: str) -> str:
    if len(value) > LONGEST:
        raise ValidationError(
            f"The base URL has {len(value):,} characters; at most {LONGEST:,} are allowed.", code="length"
        )
    _refuse_characters(value, "base URL")
    scheme, separator, _ = value.partition("://")
    if not separator or scheme.lower() != "https":
        raise ValidationError(
            "The base URL starts with https://, such as https://billing.example.com.", code="scheme"
        )
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise ValidationError("The host of the base URL is not a host name.", code="host") from error
    if "#" in value:
        raise ValidationError("A fragment (#…) never reaches a receiver. Leave it out.", code="fragment")
    if "?" in value:
        raise ValidationError(
            "The base URL has no query (?…). Put it in the path, or use parameters.", code="query"
        )
    if "@" in parts.netloc:
        raise ValidationError(
            "The base URL holds no user name or password. Callouts are signed instead.", code="userinfo"
        )
    if re.search(r":[^\]]*\Z", parts.netloc):
        raise ValidationError(
            "No port may be written: callouts always go to port 443. Leave the colon and the number out.",
            code="port",
        )
    _refuse_detours(parts.path)
    normalised = f"https://{_host(parts.netloc)}{quote(parts.path, safe=_KEPT)}"
    if len(normalised) > LONGEST:
        raise ValidationError(
            f"In ASCII, the base URL has {len(normalised):,} characters; at most {LONGEST:,} are allowed.",
            code="length",
        )
    return normalised


def _host(written: str) -> str:
    if not written:
        raise ValidationError("The host is missing, as in https://billing.example.com.", code="host")
    try:
        literal = guard.literal_address(written)
    except ValueError as error:
        raise ValidationError(f"{written} is not a host name.", code="host") from error
    if literal is not None:
        allowed = guard.networks(tuple(settings.OUTBOUND_ALLOWED_NETWORKS), "OUTBOUND_ALLOWED_NETWORKS")
        if not any(literal.version == network.version and literal in network for network in allowed):
            raise ValidationError(
                f"{written} is an address. Use a host name, whose certificate can be checked.",
                code="ip_literal",
            )
        return f"[{literal}]" if literal.version == 6 else str(literal)
    try:
        host: str = idna.encode(written, uts46=True).decode()
    except idna.IDNAError as error:
        raise ValidationError(
            f"{written} is not a host name: letters, digits and hyphens, with dots between.", code="host"
        ) from error
    return host


def _refuse_characters(value: str, what: str) -> None:
    if "\\" in value:
        raise ValidationError(f"The {what} holds a backslash. URLs use / only.", code="backslash")
    for character in value:
        if unicodedata.category(character)[0] in "CZ":
            raise ValidationError(
                f"The {what} holds a space or an invisible character (U+{ord(character):04X}). Remove it.",
                code="characters",
            )
    if _PERCENT.search(value):
        raise ValidationError(
            f"In the {what}, % must be followed by two hexadecimal digits; a percent sign itself is %25.",
            code="characters",
        )


def _refuse_detours(path: str) -> None:
    plain = unquote(unquote(path))
    if "//" in path or "\\" in plain or any(part in (".", "..") for part in plain.split("/")):
        raise ValidationError("The path may not hold //, /./ or /../, however written.", code="detour")
