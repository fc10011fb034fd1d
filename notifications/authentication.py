"""What an endpoint's authentication must satisfy, the same in the console and the API.

Every refusal is a ValidationError that names the field, what is wrong and what would be right.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.functions import Length

from smtpprofiles.client_certificate import validate_pair
from smtpprofiles.encryption import SecretUnreadable

from .models import Endpoint, EndpointHeader, Parameter
from .transports import headers as callout_headers

# What each choice of `authorization` uses, with what of it cannot be missing.
FIELDS: dict[str, tuple[str, ...]] = {
    "basic": ("username", "password"),
    "bearer": ("bearer_token",),
    "oauth2": (
        "token_url",
        "client_id",
        "client_secret",
        "scope",
        "audience",
        "token_ca_certificate",
    ),
}
_NEEDED = {
    "basic": ("username", "password"),
    "bearer": ("bearer_token",),
    "oauth2": ("token_url", "client_id", "client_secret"),
}
RESERVED_PREFIXES = ("webhook-", "bellwether-", "proxy-", "sec-")
MOST_HEADERS = 30


def refuse_unused(given: Mapping[str, Any], endpoint: Endpoint) -> None:
    """Refuse what was just given, and nothing of what is chosen uses."""
    errors = {
        name: "This goes with another choice of Authorization. Choose that one, or leave this empty."
        for scheme, names in FIELDS.items()
        if scheme != endpoint.authorization
        for name in names
        if given.get(name)
    }
    if given.get("api_key") and not endpoint.api_key_header:
        errors["api_key_header"] = "The key has no header. Name the header it goes in, such as X-API-Key."
    if given.get("client_key") and not endpoint.client_certificate:
        errors["client_certificate"] = "The key has no certificate. Paste that of the same pair."
    if errors:
        raise ValidationError(errors)


def stored(endpoint: Endpoint, names: Iterable[str]) -> list[str]:
    """Return which of these fields hold something in the database; secrets are not decrypted for it."""
    wanted = list(names)
    lengths = Endpoint.objects.values_list(*map(Length, wanted)).get(pk=endpoint.pk)
    return [name for name, length in zip(wanted, lengths, strict=True) if length]


def unused(endpoint: Endpoint) -> dict[str, str]:
    """Return, emptied, what is stored and not used by its choices: a secret that nothing needs is not kept."""
    names = [name for scheme, fields in FIELDS.items() if scheme != endpoint.authorization for name in fields]
    if not endpoint.api_key_header:
        names.append("api_key")
    if not endpoint.client_certificate:
        names.append("client_key")
    return dict.fromkeys(stored(endpoint, names), "") if endpoint.pk else {}


def check(endpoint: Endpoint, headers: Sequence[EndpointHeader] = ()) -> None:
    """Refuse what is missing and what contradicts; `headers` are those to be saved with it."""
    errors: dict[str, str] = {}
    for name in _NEEDED.get(endpoint.authorization, ()):
        if not _is_given(endpoint, name, errors):
            errors.setdefault(name, f"{endpoint.get_authorization_display()} needs this. Fill it in.")
    if endpoint.api_key_header:
        if fault := _header_fault(endpoint.api_key_header):
            errors["api_key_header"] = fault
        elif endpoint.authorization and endpoint.api_key_header.lower() == "authorization":
            errors["api_key_header"] = _TWICE
        if not _is_given(endpoint, "api_key", errors):
            errors.setdefault(
                "api_key", "The header has no value. Fill in the key, or empty the header's name."
            )
    _check_certificate(endpoint, errors)
    clashes = clashes_with_parameters(endpoint, headers)
    if fault := clashes.pop(endpoint.api_key_header, ""):
        errors.setdefault("api_key_header", fault)
    for name, fault in (clashes | faults_of_headers(endpoint, headers)).items():
        errors.setdefault("headers", f"{name}: {fault}")
    if errors:
        raise ValidationError(errors)


_TWICE = "Authorization above sets this header already. Choose None there, or name another header here."


def faults_of_headers(endpoint: Endpoint, headers: Iterable[EndpointHeader]) -> dict[str, str]:
    """Return what is wrong with the headers that are added to every callout, by name."""
    faults: dict[str, str] = {}
    seen: set[str] = set()
    for number, header in enumerate(headers, 1):
        lower = header.name.lower()
        if fault := _header_fault(header.name):
            faults[header.name] = fault
        elif lower in seen:
            faults[header.name] = "This header is there twice. Remove one."
        elif lower == "authorization" and endpoint.authorization:
            faults[header.name] = _TWICE
        elif lower == "authorization" and not header.is_secret:
            faults[header.name] = "What authenticates is a secret: mark it as one."
        elif lower == endpoint.api_key_header.lower():
            faults[header.name] = "The API key goes in this header already. Remove one of them."
        elif number > MOST_HEADERS:
            faults[header.name] = f"There may be at most {MOST_HEADERS} headers."
        seen.add(lower)
    return faults


def _header_fault(name: str) -> str:
    if fault := callout_headers.problem(name):
        return fault
    if name.lower().startswith(RESERVED_PREFIXES):
        return (
            f"Headers that start with {name.partition('-')[0]}- are set by the product itself, or by proxies."
        )
    return ""


def _is_given(endpoint: Endpoint, name: str, errors: dict[str, str]) -> bool:
    try:
        return bool(getattr(endpoint, name))
    except SecretUnreadable:
        errors[name] = "The stored one cannot be read with the keys of this installation. Enter it again."
        return False


def _check_certificate(endpoint: Endpoint, errors: dict[str, str]) -> None:
    if not endpoint.client_certificate:
        return
    if not _is_given(endpoint, "client_key", errors):
        errors.setdefault("client_key", "The certificate needs its key. Paste that of the same pair.")
        return
    try:
        validate_pair(endpoint.client_certificate, endpoint.client_key)
    except ValidationError as error:
        errors["client_key"] = " ".join(error.messages)
    except (ValueError, TypeError):
        pass  # one of them is no PEM at all, which its own field says


def clashes_with_parameters(endpoint: Endpoint, headers: Iterable[EndpointHeader]) -> dict[str, str]:
    """Return, by name, which of its headers a parameter of a subscription that calls it sets as well."""
    if endpoint.pk is None:
        return {}
    taken = Parameter.objects.filter(
        subscription__endpoint=endpoint, placement=Parameter.Placement.HEADER
    ).values_list("name", flat=True)
    names = {name.lower() for name in taken}
    own = [endpoint.api_key_header, *(header.name for header in headers)]
    return {
        name: "A parameter of a subscription that calls this endpoint sets this header. Rename one of them."
        for name in own
        if name.lower() in names
    }
