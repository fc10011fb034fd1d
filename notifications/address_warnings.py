"""What the address guard will say of an endpoint when it is called, told when it is saved."""

import socket
from urllib.parse import urlsplit

from django.conf import settings

from smtpprofiles import guard

from .models import Endpoint

PATIENCE = 2.0  # seconds for a look-up; a save is not held up for longer


def warnings_of(endpoint: Endpoint) -> list[str]:
    """Sentences that name what would be refused now, and the remedy. Saving is not refused: names change."""
    found = _warning(endpoint.base_url, "")
    if endpoint.token_url:
        found += _warning(endpoint.token_url, "Token URL: ")
    return found


def _warning(url: str, what: str) -> list[str]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    if (host, port) in guard.connect_to_map(settings.OUTBOUND_CONNECT_TO):
        return []
    setting = "OUTBOUND_ALLOWED_NETWORKS"
    try:
        guard.vetted_addresses(
            host,
            port,
            guard.networks(settings.OUTBOUND_ALLOWED_NETWORKS, setting),
            timeout=PATIENCE,
            setting=setting,
        )
    except guard.AddressRefused as error:
        return [f"{what}{error} Saved, but every connection to it is refused until then."]
    except socket.gaierror as error:
        return [f"{what}The name {host} is not resolved now ({error.strerror}). Check its spelling."]
    except TimeoutError:
        return [f"{what}The name {host} was not resolved within {PATIENCE:g} seconds."]
    return []
