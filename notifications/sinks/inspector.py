"""What a careful receiver finds in each callout: whether it is signed, came before, or leaves a gap.

It shares no code with the side that signs.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE = 300  # seconds between our clock and the callout's time
MOST_REMEMBERED = 100_000  # callouts and lanes; then it begins anew
SECRET, PUBLIC_KEY = "whsec_", "whpk_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in one callout."""

    is_verified: bool | None  # None: there is nothing to check it with
    signature: str  # in words
    is_repeated: bool
    order: str  # in words; empty where it is as it should be, or in no order
    is_in_order: bool


class Inspector:
    """Remembers what came, as a receiver should."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are signing secrets (whsec_…) or public keys (whpk_…). Raises ValueError for anything else."""
        self._keys = [(key, _decoded(key)) for key in keys]
        self._handled: set[str] = set()
        self._last: dict[str, tuple[int, str]] = {}  # by lane: number and id of the last one

    def look(self, headers: Mapping[str, str], body: bytes, *, now: float) -> Finding:
        """Inspect a callout; `headers` have their names in lower case, `now` is seconds since 1970."""
        is_verified, words = self._verify(headers, body, now)
        message_id = headers.get("webhook-id", "")
        is_repeated = message_id in self._handled
        order = ""
        # What somebody else sent must not spoil the books.
        if is_verified is not False:
            order = "" if is_repeated else self._order(headers, message_id)
            if len(self._handled) >= MOST_REMEMBERED:
                self._handled.clear()
                self._last.clear()
            self._handled.add(message_id)
        return Finding(
            is_verified=is_verified,
            signature=words,
            is_repeated=is_repeated,
            order=order,
            is_in_order="bellwether-sequence" in headers,
        )

    def forget(self, message_id: str) -> None:
        """Take back that a callout came: it was answered with an error, so it comes again."""
        self._handled.discard(message_id)

    def _verify(self, headers: Mapping[str, str], body: bytes, now: float) -> tuple[bool | None, str]:
        if not self._keys:
            return None, "not checked: no secret was given"
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        if missing := [name for name in names if not headers.get(name)]:
            return False, f"without {' and '.join(missing)}"
        timestamp = headers["webhook-timestamp"]
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 15):
            return False, f"webhook-timestamp is no number: {timestamp[:40]}"
        age = now - int(timestamp)
        if abs(age) > TOLERANCE:
            side = "old" if age > 0 else "ahead of this clock"
            return False, f"its time is {abs(age):.0f} seconds {side}; {TOLERANCE} are allowed"
        base = f"{headers['webhook-id']}.{timestamp}.".encode() + body
        entries = [entry.partition(",") for entry in headers["webhook-signature"].split(" ")]
        for number, (key, content) in enumerate(self._keys, start=1):
            for version, _, signature in entries:
                if _matches(key, content, version, signature, base):
                    which = f" by key {number} of {len(self._keys)}" if len(self._keys) > 1 else ""
                    return True, f"verified{which} ({version})"
        versions = ", ".join(sorted({version for version, _, _ in entries}))
        return False, f"no signature matches ({versions}): another secret, or the body was changed on its way"

    def _order(self, headers: Mapping[str, str], message_id: str) -> str:
        lane, text = headers.get("bellwether-lane"), headers.get("bellwether-sequence", "")
        if lane is None or not text.isdecimal():
            return ""
        number, previous = int(text), headers.get("bellwether-previous", "")
        known = self._last.get(lane)
        if known is None or number > known[0]:
            self._last[lane] = (number, message_id)
        if known is None:
            return "" if number == 1 else f"number {number} is the first that came of this lane"
        if number <= known[0]:
            return f"number {number} came after {known[0]}"
        if previous == known[1]:
            skipped = headers.get("bellwether-skipped", "")
            return f"{skipped} skipped by the sender" if skipped else ""
        return f"GAP: {previous or 'nothing'} should have come before it; {known[1]} (number {known[0]}) did"


def _decoded(key: str) -> bytes:
    prefix = next((each for each in (SECRET, PUBLIC_KEY) if key.startswith(each)), None)
    text = key.removeprefix(prefix or "")
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if prefix is None or not content or (prefix == PUBLIC_KEY and len(content) != 32):
        raise ValueError("A key is whsec_ or whpk_ and base64, as the endpoint's page shows it.")
    return content


def _matches(key: str, content: bytes, version: str, signature: str, base: bytes) -> bool:
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    if version == "v1" and key.startswith(SECRET):
        return hmac.compare_digest(hmac.digest(content, base, hashlib.sha256), given)
    if version == "v1a" and key.startswith(PUBLIC_KEY):
        try:
            Ed25519PublicKey.from_public_bytes(content).verify(given, base)
        except InvalidSignature:
            return False
        return True
    return False
