"""Checking what Svix signs for others, such as Resend: its webhooks' scheme, Standard Webhooks under older names."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

from .transports import clock

TOLERANCE = 300.0  # seconds, as their own library has it


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the signatures is that of this secret (whsec_…), and was made within five minutes."""
    message_id, time, given = (
        headers.get(f"svix-{name}") or headers.get(f"webhook-{name}") or ""
        for name in ("id", "timestamp", "signature")
    )
    if not message_id or not re.fullmatch(r"[0-9]{1,12}", time):
        return False
    if abs(clock.now().timestamp() - int(time)) > TOLERANCE:
        return False
    made = hmac.new(key_of(secret), f"{message_id}.{time}.".encode() + body, hashlib.sha256).digest()
    expected = base64.b64encode(made)
    signatures = [entry.partition(",") for entry in given.split(" ")[:20]]
    # Every one is compared, so that time tells nothing of where the right one stands.
    fits = [
        hmac.compare_digest(expected, signature.encode())
        for version, _, signature in signatures
        if version == "v1"
    ]
    return any(fits)


def key_of(secret: str) -> bytes:
    """Return the key in a secret. ValueError where it is none."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("A signing secret looks like whsec_ and letters in base64.") from error
