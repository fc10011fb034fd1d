"""From a profile's row to the values that a sender needs."""

from typing import TYPE_CHECKING

from . import vet
from .account import Account, Authentication, ProviderAccount, Security, SmtpAccount
from .choices import OnUnknown
from .oauth import TokenGrant
from .providers import Kind
from .rotation import owner

if TYPE_CHECKING:
    from .models import SmtpProfile


def account_of(profile: "SmtpProfile") -> Account:
    """Return its account; SecretUnreadable where a secret cannot be decrypted."""
    if profile.kind != Kind.SMTP:
        return ProviderAccount(
            kind=profile.kind,
            key=profile.provider_key,
            secret=profile.provider_secret,
            token=profile.provider_token,
            domain=profile.provider_domain,
            region=profile.provider_region,
            bounces_to=profile.bounce_address,
            url=profile.provider_url,
            sender=profile.from_address,
            timeout_seconds=profile.timeout_seconds,
            connect_seconds=profile.connect_seconds,
        )
    is_by_password = profile.authentication == Authentication.PASSWORD
    return SmtpAccount(
        host=profile.host,
        port=profile.port,
        security=Security(profile.security),
        sender=profile.bounce_address or profile.from_address,
        username=profile.username if profile.authentication != Authentication.NONE else "",
        password=profile.password if is_by_password else "",
        grant=_grant(profile) if profile.authentication in vet.OAUTH else None,
        ca_certificate=profile.ca_certificate,
        timeout_seconds=profile.timeout_seconds,
        connect_seconds=profile.connect_seconds,
        mails_per_connection=profile.mails_per_connection,
        asks_first=profile.on_unknown == OnUnknown.HOLD,
    )


def _grant(profile: "SmtpProfile") -> TokenGrant:
    is_refresh = profile.authentication == Authentication.REFRESH_TOKEN
    return TokenGrant(
        token_url=profile.oauth_token_url,
        client_id=profile.oauth_client_id,
        client_secret=profile.oauth_client_secret,
        scope=profile.oauth_scope,
        refresh_token=profile.oauth_refresh_token if is_refresh else "",
        credentials_in="body",  # as Microsoft and Google show it
        owner=owner(profile.pk) if is_refresh and profile.pk else "",
    )
