"""Replacing what an endpoint signs with: the old one signs beside the new, and ends by itself."""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.functions import Now

from smtpprofiles.encryption import SecretUnreadable

from .audit import Actor, record
from .models import Endpoint, RetiredSecret
from .transports.signing import KEY_PREFIX, new_key_pair, new_secret, public_key

DEFAULT_OVERLAP, LONGEST_OVERLAP = 24, 168  # hours
MOST_RETIRED = 10  # each is another entry in the header of every callout


class Key(models.TextChoices):
    """What can be rotated."""

    SECRET = "secret", "The signing secret (v1, whsec_…)"
    ED25519 = "ed25519", "The Ed25519 key pair (v1a, whpk_…)"


@transaction.atomic
def rotate(
    endpoint_id: int, key: str, *, overlap_hours: int, actor: Actor, reason: str = ""
) -> tuple[Endpoint, datetime | None]:
    """Replace a secret or key pair; returns the endpoint, and until when the old one signs too.

    ValidationError by field where there is no key pair, or too many former ones sign already.
    """
    # The row first, then its channels, as whoever edits it locks them.
    endpoint = Endpoint.objects.select_for_update(no_key=True).defer(*Endpoint.BULKY).get(pk=endpoint_id)
    if key == Key.ED25519 and not endpoint.signs_ed25519:
        raise ValidationError({"key": "This endpoint has no Ed25519 signature. Rotate its signing secret."})
    sweep()
    old = _readable(endpoint, "key_pair" if key == Key.ED25519 else "secret")
    until = _retire(endpoint, old, overlap_hours) if old and overlap_hours else None
    if key == Key.ED25519:
        endpoint.key_pair = new_key_pair()
        endpoint.public_key = public_key(endpoint.key_pair)
        endpoint.save(update_fields=["key_pair", "public_key", "updated_at"])
    else:
        endpoint.secret = new_secret()
        endpoint.save(update_fields=["secret", "updated_at"])
    told = f"{Key(key).label}, {overlap_hours} hours overlap. {reason}".strip()
    record(actor, "endpoint.rotate", [f"endpoint {endpoint.pk}"], told)
    return endpoint, until


def sweep() -> int:
    """Delete the secrets that sign no more; return how many."""
    return RetiredSecret.objects.filter(signs_until__lte=Now()).delete()[0]


def _readable(endpoint: Endpoint, name: str) -> str:
    try:
        return str(getattr(endpoint, name))
    except SecretUnreadable:
        return ""  # a new one is how that is mended


def _retire(endpoint: Endpoint, old: str, hours: int) -> datetime:
    retired = RetiredSecret.objects.filter(endpoint=endpoint).order_by("signs_until")
    is_pair = old.startswith(KEY_PREFIX)
    if sum(one.secret.startswith(KEY_PREFIX) == is_pair for one in retired) >= MOST_RETIRED:
        raise ValidationError(
            {
                "overlap_hours": f"{MOST_RETIRED} former ones still sign. Wait until the first of them ends, "
                "or rotate without overlap (0)."
            }
        )
    made = RetiredSecret.objects.create(
        endpoint=endpoint, secret=old, signs_until=Now() + timedelta(hours=hours)
    )
    made.refresh_from_db(fields=["signs_until"])
    return made.signs_until
