"""What a profile must satisfy beyond its single fields, the same in the console and the API."""

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError

from .account import Authentication, Security
from .encryption import SecretUnreadable
from .providers import PROVIDERS, Kind

if TYPE_CHECKING:
    from .models import SmtpProfile

OAUTH = (Authentication.CLIENT_CREDENTIALS, Authentication.REFRESH_TOKEN)


def check(profile: "SmtpProfile") -> None:
    """Raise a ValidationError by field; a login without user name and password becomes none."""
    faults: dict[str, str] = {}
    if profile.kind == Kind.SMTP:
        faults |= _smtp(profile)
    elif profile.kind in PROVIDERS:
        faults |= _provider(profile)
    faults |= _fallback(profile)
    if faults:
        raise ValidationError(faults)


def _smtp(profile: "SmtpProfile") -> dict[str, str]:
    faults = {}
    if not profile.host:
        faults["host"] = "Name the SMTP server, such as smtp.example.com."
    if profile.authentication == Authentication.PASSWORD:
        has_password = is_there(profile, "password")
        if not profile.username and not has_password:
            profile.authentication = Authentication.NONE
        elif not profile.username:
            faults["username"] = "The password needs a user name; or choose “No login”."
        elif not has_password:
            faults["password"] = "The user name needs a password; or choose “No login”."  # noqa: S105
    if profile.authentication in OAUTH:
        faults |= _oauth(profile)
    return faults


def _oauth(profile: "SmtpProfile") -> dict[str, str]:
    needed = [
        ("username", "OAuth2 needs the address of the mailbox that sends."),
        ("oauth_token_url", "OAuth2 needs the address where tokens are fetched, as shown below."),
        ("oauth_client_id", "OAuth2 needs the client id of the registered application."),
    ]
    if profile.authentication == Authentication.CLIENT_CREDENTIALS:
        needed += [
            ("oauth_client_secret", "Client credentials need the application's client secret."),
            ("oauth_scope", "Client credentials need a scope, as shown below."),
        ]
    else:
        needed.append(("oauth_refresh_token", "This way of logging in needs the refresh token."))
    faults = {name: text for name, text in needed if not is_there(profile, name)}
    if profile.security == Security.NONE:
        faults["security"] = "A token may only be sent over TLS: choose STARTTLS or TLS from the start."
    return faults


def _provider(profile: "SmtpProfile") -> dict[str, str]:
    provider = PROVIDERS[Kind(profile.kind)]
    faults = {}
    if not is_there(profile, "provider_key"):
        faults["provider_key"] = f"{provider.label} needs a value here: {provider.key_label}."
    if provider.secret and not is_there(profile, "provider_secret"):
        faults["provider_secret"] = f"{provider.label} needs its secret key, too."
    if provider.needs_region and not profile.provider_region:
        faults["provider_region"] = f"{provider.label} needs the region, such as eu-central-1."
    if provider.needs_domain and not profile.provider_domain:
        faults["provider_domain"] = f"{provider.label} needs the domain that is verified there."
    return faults


def is_there(profile: "SmtpProfile", name: str) -> bool:
    """Whether the field has a value; a secret that no key opens is one."""
    try:
        return bool(getattr(profile, name))
    except SecretUnreadable:
        return True


def _fallback(profile: "SmtpProfile") -> dict[str, str]:
    """A fallback may have one itself, but the chain must end."""
    seen, names, at = {profile.pk}, [profile.name], profile.fallback_id
    while at is not None:
        # Without the secrets, which somebody may have to mend first.
        next_one = type(profile)._default_manager.only("name", "fallback_id").get(pk=at)
        names.append(next_one.name)
        if at in seen:
            chain = " → ".join(names)
            return {"fallback": f"These would stand in for one another in a circle: {chain}. Choose another."}
        seen.add(at)
        at = next_one.fallback_id
    return {}
