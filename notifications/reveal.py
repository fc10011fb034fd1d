"""Showing an endpoint's signing secret again: to who may, with a reason, and written down."""

from django.core.exceptions import ValidationError
from django.db import transaction

from .audit import Actor, record
from .models import Endpoint

PERMISSION = "notifications.reveal_secret"


@transaction.atomic
def reveal(endpoint_id: int, *, actor: Actor, reason: str) -> str:
    """Return the signing secret. ValidationError without a reason; SecretUnreadable."""
    if not reason.strip():
        raise ValidationError({"reason": "Say why; it is kept in the audit log."})
    secret = str(Endpoint.objects.values_list("secret", flat=True).get(pk=endpoint_id))
    record(actor, "endpoint.reveal_secret", [f"endpoint {endpoint_id}"], reason)
    return secret
