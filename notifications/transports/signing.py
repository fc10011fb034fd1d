"""Standard Webhooks signatures, v1: https://www.standardwebhooks.com."""

import base64
import binascii
import hmac
import secrets as randomness
from collections.abc import Iterable
from functools import lru_cache

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes, as the specification says


def new_secret() -> str:
    """A fresh secret: whsec_ and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


@lru_cache(maxsize=4096)
def check_secret(secret: str) -> bytes:
    """The key that a secret stands for; ValueError, which never shows it, unless it has 24 to 64 bytes."""
    encoded = secret.removeprefix(PREFIX)
    try:
        # Secrets are handed around without their padding, too.
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A signing secret is whsec_ followed by base64.") from None
    if not secret.startswith(PREFIX) or not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"A signing secret is whsec_ followed by {SHORTEST} to {LONGEST} bytes in base64.")
    return key


def sign(secrets: Iterable[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """The webhook-signature header: an entry for each secret, separated by exactly one space.

    `timestamp` is the very integer of the webhook-timestamp header.
    """
    base = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    entries = []
    for secret in secrets:
        digest = hmac.digest(check_secret(secret), base, "sha256")
        entries.append("v1," + binascii.b2a_base64(digest, newline=False).decode())
    return " ".join(entries)
