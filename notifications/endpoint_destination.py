"""An endpoint as the values that a callout needs: its signing keys, what authenticates it, what it adds."""

import base64

from smtpprofiles.oauth import TokenGrant

from .models import Endpoint
from .transports.webhook import WebhookDestination


def destination_of(endpoint: Endpoint) -> WebhookDestination:
    """Read an endpoint whole. SecretUnreadable, or ValidationError for a URL that is no longer allowed."""
    headers = list(endpoint.headers.all())
    secret = [(header.name, header.secret_value) for header in headers if header.is_secret]
    return WebhookDestination(
        url=endpoint.url,
        secrets=(endpoint.secret, *filter(None, [endpoint.key_pair])),
        retiring=tuple((old.secret, old.signs_until.timestamp()) for old in endpoint.retired_secrets.all()),
        timeout_seconds=endpoint.timeout_seconds,
        ca_certificate=endpoint.ca_certificate,
        client_certificate=endpoint.client_certificate,
        client_key=endpoint.client_key,
        headers=(*_authorization(endpoint), *_api_key(endpoint), *secret),
        open_headers=tuple((header.name, header.value) for header in headers if not header.is_secret),
        grant=grant_of(endpoint),
    )


def grant_of(endpoint: Endpoint) -> TokenGrant | None:
    """What its token server is shown; None where it has none."""
    if endpoint.authorization != Endpoint.Scheme.OAUTH2:
        return None
    return TokenGrant(
        token_url=endpoint.token_url,
        client_id=endpoint.client_id,
        client_secret=endpoint.client_secret,
        scope=endpoint.scope,
        audience=endpoint.audience,
        credentials_in="body" if endpoint.credentials_in == Endpoint.CredentialsIn.BODY else "header",
        ca_certificate=endpoint.token_ca_certificate,
    )


def _authorization(endpoint: Endpoint) -> list[tuple[str, str]]:
    match endpoint.authorization:
        case Endpoint.Scheme.BASIC:
            pair = f"{endpoint.username}:{endpoint.password}".encode()
            return [("Authorization", f"Basic {base64.b64encode(pair).decode()}")]
        case Endpoint.Scheme.BEARER:
            return [("Authorization", f"Bearer {endpoint.bearer_token}")]
    return []


def _api_key(endpoint: Endpoint) -> list[tuple[str, str]]:
    return [(endpoint.api_key_header, endpoint.api_key)] if endpoint.api_key_header else []
