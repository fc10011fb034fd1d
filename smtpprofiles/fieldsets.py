"""Which fields of a profile matter, by its kind and its way of logging in."""

from collections.abc import Mapping
from typing import Any

from .account import Authentication
from .providers import PROVIDERS, Kind

Fieldset = tuple[str | None, dict[str, Any]]

_OAUTH = ["oauth_token_url", "oauth_client_id", "new_oauth_client_secret", "oauth_scope"]
_LOGIN = {
    Authentication.NONE: [],
    Authentication.PASSWORD: ["username", "new_password"],
    Authentication.CLIENT_CREDENTIALS: ["username", *_OAUTH],
    Authentication.REFRESH_TOKEN: ["username", *_OAUTH, "new_oauth_refresh_token"],
}


def fieldsets(kind: str, authentication: str) -> list[Fieldset]:
    """Return the groups of fields for this choice; an unknown one is as the default."""
    return [
        (None, {"fields": ["name"]}),
        ("Where", {"fields": where(kind)}),
        ("Login", {"fields": login(kind, authentication)}),
        ("From", {"fields": ["from_name", "from_address", "reply_to", *bounces(kind)]}),
        ("Limits", {"fields": limits(kind)}),
        ("State", {"fields": ["is_default", "is_active", "fallback", "on_unknown", "suppresses_bounces"]}),
    ]


def where(kind: str) -> list[str]:
    """The fields that say where its mail goes."""
    if kind not in PROVIDERS:
        return ["kind", "host", "port", "security", "ca_certificate"]
    provider = PROVIDERS[Kind(kind)]
    domain = ["provider_domain"] if provider.needs_domain else []
    region = ["provider_region"] if provider.needs_region else []
    return ["kind", *domain, *region, "provider_url"]


def login(kind: str, authentication: str) -> list[str]:
    """The fields that say as whom."""
    if kind in PROVIDERS:
        second = ["new_provider_secret"] if PROVIDERS[Kind(kind)].secret else []
        third = ["new_provider_token"] if PROVIDERS[Kind(kind)].token else []
        return ["new_provider_key", *second, *third]
    ways: Mapping[str, list[str]] = {way.value: fields for way, fields in _LOGIN.items()}
    return ["authentication", *ways.get(authentication, ways[Authentication.PASSWORD.value])]


def bounces(kind: str) -> list[str]:
    """The field that says where bounce mails go, where a profile may say so."""
    return ["bounce_address"] if kind not in PROVIDERS or PROVIDERS[Kind(kind)].mails_bounces else []


def limits(kind: str) -> list[str]:
    """The fields that bound it."""
    reuse = [] if kind in PROVIDERS else ["mails_per_connection"]
    return ["timeout_seconds", "connect_seconds", "max_connections", *reuse, "rate_per_minute"]
