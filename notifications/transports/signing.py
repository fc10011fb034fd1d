"""Standard Webhooks signatures: v1 (HMAC-SHA256) and v1a (Ed25519), https://www.standardwebhooks.com."""

import base64
import binascii
import hmac
import secrets as randomness
from collections.abc import Callable, Iterable
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "whsec_"
KEY_PREFIX, PUBLIC_PREFIX = "whsk_", "whpk_"
SHORTEST, LONGEST = 24, 64  # bytes, as the specification says


def new_secret() -> str:
    """A fresh secret: whsec_ and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def new_key_pair() -> str:
    """A fresh Ed25519 key pair: whsk_ and private and public key, 64 bytes in base64."""
    key = Ed25519PrivateKey.generate()
    return (
        KEY_PREFIX + base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
    )


def public_key(key_pair: str) -> str:
    """The half of a key pair that receivers verify with: whpk_ and 32 bytes in base64."""
    return PUBLIC_PREFIX + base64.b64encode(check_key_pair(key_pair).public_key().public_bytes_raw()).decode()


@lru_cache(maxsize=4096)
def check_secret(secret: str) -> bytes:
    """The key that a secret stands for; ValueError, which never shows it, unless it has 24 to 64 bytes."""
    key = _decoded(secret, PREFIX)
    if key is None:
        raise ValueError("A signing secret is whsec_ followed by base64.")
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"A signing secret is whsec_ followed by {SHORTEST} to {LONGEST} bytes in base64.")
    return key


def check_key_pair(key_pair: str) -> Ed25519PrivateKey:
    """The private key of a key pair; ValueError, which never shows it, unless its halves belong together."""
    raw = _decoded(key_pair, KEY_PREFIX)
    if raw is not None and len(raw) == 64:
        key = Ed25519PrivateKey.from_private_bytes(raw[:32])
        if key.public_key().public_bytes_raw() == raw[32:]:
            return key
    raise ValueError("A signing key pair is whsk_ followed by private and public key, 64 bytes in base64.")


def sign(secrets: Iterable[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """The webhook-signature header: an entry for each secret or key pair, separated by exactly one space.

    `timestamp` is the very integer of the webhook-timestamp header.
    """
    base = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return " ".join([_signer(secret)(base) for secret in secrets])


@lru_cache(maxsize=4096)
def _signer(secret: str) -> Callable[[bytes], str]:
    """What signs with this secret; its key is parsed once."""
    if secret.startswith(KEY_PREFIX):
        private_key = check_key_pair(secret)
        return lambda base: "v1a," + binascii.b2a_base64(private_key.sign(base), newline=False).decode()
    key = check_secret(secret)
    return lambda base: "v1," + binascii.b2a_base64(hmac.digest(key, base, "sha256"), newline=False).decode()


def _decoded(secret: str, prefix: str) -> bytes | None:
    encoded = secret.removeprefix(prefix)
    try:
        # Secrets are handed around without their padding, too.
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if secret.startswith(prefix) else b""
