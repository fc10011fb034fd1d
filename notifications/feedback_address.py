"""The URL at which a provider reports: made of a secret that is kept as a hash only."""

import hashlib
import secrets

from django.conf import settings
from django.urls import reverse

from .models import FeedbackAddress


def renew(row: FeedbackAddress) -> str:
    """Give it a new secret, not saved yet; return the URL, which nothing tells again."""
    token = secrets.token_urlsafe(32)
    row.token_hash = hashed(token)
    return f"{settings.BASE_URL.rstrip('/')}{reverse('feedback', args=[token])}"


def hashed(token: str) -> str:
    """Return what is kept of a secret of 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
