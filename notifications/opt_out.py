"""Leaving the mails of a subscription: the signed link, its headers (RFC 2369, RFC 8058), and what it does."""

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse

from .excluded import OPTED_OUT
from .models import OptOut, Subscription
from .withdraw import withdraw

_SALT = "notifications.opt_out"
_TOKEN = "TOKEN"  # noqa: S105 - where one goes
REASON = OPTED_OUT


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to leave what."""

    subscription_id: int
    address: str


def link(subscription_id: int, address: str) -> str:
    """Return the URL by which this recipient leaves; it never expires, since mails are kept for years."""
    token = _signer(settings.SECRET_KEY).sign_object([subscription_id, address.lower()])
    return f"{settings.BASE_URL.rstrip('/')}{_path().replace(_TOKEN, token)}"


@lru_cache(maxsize=4)
def _signer(key: str) -> signing.TimestampSigner:
    """What `signing.dumps` makes anew each time."""
    return signing.TimestampSigner(key=key, salt=_SALT)


@lru_cache(maxsize=1)
def _path() -> str:
    return reverse("unsubscribe", args=[_TOKEN])


def headers(url: str) -> list[tuple[str, str]]:
    """Return the headers by which mail programs show a button to leave."""
    if not url:
        return []
    found = [("List-Unsubscribe", f"<{url}>")]
    # One click is for https only (RFC 8058, 3.1).
    if url.startswith("https://"):
        found.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    return found


def read(token: str) -> Wish | None:
    """Return what a link says; None if it is not one of ours."""
    try:
        subscription_id, address = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        return None
    return Wish(subscription_id, address)


@transaction.atomic
def leave(wish: Wish, *, is_one_click: bool = False) -> bool:
    """Send this recipient no more of the subscription's mails, also none that waits. False: it is gone or refuses."""
    allowed = Subscription.objects.filter(pk=wish.subscription_id, allows_opt_out=True)
    if not allowed.exists():
        return False
    OptOut.objects.get_or_create(
        subscription_id=wish.subscription_id,
        address=wish.address,
        defaults={"is_one_click": is_one_click},
    )
    withdraw(wish.address, why=REASON, subscription_id=wish.subscription_id)
    return True


def come_back(wish: Wish) -> None:
    """Send this recipient the subscription's mails again."""
    OptOut.objects.filter(subscription_id=wish.subscription_id, address=wish.address).delete()
