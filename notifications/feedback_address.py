"""The URL at which a provider reports: made of a secret that is kept as a hash only."""

import hashlib
import secrets

from django.conf import settings
from django.core.exceptions import ValidationError
from django.urls import reverse

from .models import FeedbackAddress

Provider = FeedbackAddress.Provider
# Those that sign what they report, and what anymail calls the key.
SIGNED = {Provider.MAILERSEND: "signing_secret", Provider.MAILGUN: "webhook_signing_key"}


def renew(row: FeedbackAddress) -> str:
    """Give it a new secret, not saved yet; return the URL, which nothing tells again."""
    token = secrets.token_urlsafe(32)
    row.token_hash = hashed(token)
    return f"{settings.BASE_URL.rstrip('/')}{reverse('feedback', args=[token])}"


def hashed(token: str) -> str:
    """Return what is kept of a secret of 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def refuse_without_key(provider: str, key: str, *, field: str) -> None:
    """Raise a ValidationError where a provider signs, and its key is not known."""
    if provider in SIGNED and not key:
        label = Provider(provider).label
        raise ValidationError({field: f"{label} signs what it reports: enter its webhook signing key."})
