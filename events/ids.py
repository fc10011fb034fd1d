"""Identifiers: time-ordered UUIDs inside, prefixed text outside."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Return a version 7 UUID (RFC 9562 §5.7): sorted by time, so that an index grows at its end."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (7 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return UUID(int=value)


def uuid7s(count: int) -> list[str]:
    """Return so many version 7 UUIDs as hexadecimal digits: for one statement, at a tenth of the cost."""
    milliseconds = f"{time.time_ns() // 1_000_000:012x}"
    digits = os.urandom(10 * count).hex()
    return [
        f"{milliseconds}7{digits[at : at + 3]}{'89ab'[int(digits[at + 3], 16) & 3]}{digits[at + 4 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]


def public(prefix: str, uid: UUID) -> str:
    """Return the outside form of an id: `evt_` and 32 hexadecimal digits."""
    return f"{prefix}_{uid.hex}"


def parse(prefix: str, text: str) -> UUID | None:
    """Return the UUID inside a public id (with or without its prefix), or None if it is none."""
    try:
        return UUID(hex=text.strip().removeprefix(f"{prefix}_"))
    except ValueError:
        return None
