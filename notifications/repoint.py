"""An endpoint that is moved to another host takes no stored secret along: what was entrusted to one is given again.

Else whoever may edit endpoints, and may not see their secrets, has them sent to a host of their own.
"""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from smtpprofiles.encryption import SecretUnreadable

from . import authentication
from .models import Endpoint, EndpointHeader, Parameter, Subscription

# What goes to the endpoint's host, by itself or as the token that it buys; and what goes to the token server's.
_TO_HOST = ("password", "bearer_token", "client_secret", "api_key")
_TO_TOKEN_SERVER = ("client_secret",)


def kept_secrets(endpoint: Endpoint, given: Collection[str]) -> dict[str, str]:
    """Return, by field, what has to be given again as the endpoint is about to be saved; `given` is new."""
    if not (hosts := _moved(endpoint)):
        return {}
    wanted: dict[str, str] = {}
    for field, names in (("token_url", _TO_TOKEN_SERVER), ("base_url", _TO_HOST)):
        if field in hosts:
            left = [name for name in names if name not in given and not _is_emptied(endpoint, name)]
            wanted |= dict.fromkeys(authentication.stored(endpoint, left) if left else [], hosts[field])
    faults = {name: f"{told} Give this again, or remove it." for name, told in wanted.items()}
    if "base_url" in hosts and (subscriptions := _with_secret_parameters(endpoint)):
        faults["base_url"] = (
            f"{hosts['base_url']} Secret parameters of {', '.join(subscriptions)} are sent along: "
            "make a new endpoint, and give them again with it in the subscription."
        )
    return faults


def kept_headers(endpoint: Endpoint, kept: Iterable[EndpointHeader]) -> dict[str, str]:
    """Return the same of its secret headers, by their names; `kept` are those that keep their stored value."""
    told = _moved(endpoint).get("base_url")
    if told is None:
        return {}
    return {header.name: f"{told} Give the value again." for header in kept if header.is_secret}


def kept_parameters(subscription: Subscription, typed: Collection[str]) -> dict[str, str]:
    """Return, by name, the secret parameters to give again, as the subscription is about to call another host."""
    stored = Endpoint.objects.filter(subscriptions=subscription).values_list("base_url", flat=True).first()
    becomes = subscription.endpoint.base_url if subscription.endpoint else ""
    if not (stored and becomes) or _host(stored) == _host(becomes):
        return {}
    told = f"The host changes from {_host(stored)} to {_host(becomes)}. Give the value again."
    names = subscription.parameters.filter(is_secret=True).values_list("name", flat=True)
    return {name: told for name in names if name not in typed}


def _moved(endpoint: Endpoint) -> dict[str, str]:
    """Return what says so, by the field whose host is another than the stored one."""
    former = Endpoint.objects.filter(pk=endpoint.pk).values("base_url", "token_url").first()
    hosts = {}
    for name, stored in (former or {}).items():
        was, becomes = _host(str(stored)), _host(getattr(endpoint, name))
        if was and was != becomes:
            hosts[name] = f"The host changes from {was} to {becomes or 'none'}."
    return hosts


def _is_emptied(endpoint: Endpoint, name: str) -> bool:
    if name in endpoint.get_deferred_fields():
        return False
    try:
        return not getattr(endpoint, name)
    except SecretUnreadable:
        return False


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""  # which its own field says


def _with_secret_parameters(endpoint: Endpoint) -> list[str]:
    rows = Parameter.objects.filter(subscription__endpoint=endpoint, is_secret=True)
    return list(
        rows.order_by("subscription__name").values_list("subscription__name", flat=True).distinct()[:5]
    )
