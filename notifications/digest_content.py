"""What a digest says, read once: its counts, and as many of its events as fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection

from events import ids

from .match import resolve

MOST = 10_000  # events that are listed
MOST_ACCOUNTS = 10
MOST_LANES = 1_000
# What identifies an object, the first that its event says.
_NAMES = ("id", "iccid", "number", "name")

_HEAD = """
SELECT g.id, g.opened_at, g.due_at, g.passed, g.size, s.name
FROM notifications_digest g JOIN notifications_subscription s ON s.id = g.subscription_id
WHERE g.delivery_id = %s
"""
_OF = """
FROM notifications_collected c JOIN notifications_delivery d ON d.id = c.delivery_id
JOIN events_event e ON e.id = d.event_id JOIN events_eventtype t ON t.id = e.type_id
WHERE c.digest_id = %s
"""
_TYPES = f"SELECT t.code, t.label, count(*) {_OF} GROUP BY t.code, t.label ORDER BY count(*) DESC, t.code"
_ACCOUNTS = (
    f"SELECT e.account, count(*), count(*) OVER () {_OF} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_ACCOUNTS}"
)
_LANES = f"""
SELECT e.ordering_key, count(*), min(d.sequence), max(d.sequence), count(*) OVER () {_OF} AND d.lane_id IS NOT NULL
GROUP BY 1 ORDER BY min(d.id) LIMIT {MOST_LANES}
"""
_ENTRIES = "SELECT d.uid, e.uid, t.code, t.label, e.occurred_at, e.account, e.ordering_key, d.sequence"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a digest."""

    delivery_uid: UUID
    event_uid: UUID
    type: str
    label: str
    occurred_at: datetime
    account: str
    ordering_key: str
    sequence: int | None
    data: Mapping[str, Any]  # empty where it was not asked for

    @property
    def id(self) -> str:
        """The event's public id."""
        return ids.public("evt", self.event_uid)

    @property
    def object(self) -> str:
        """What it is about, as in sim:8901990000000000017; empty if its payload does not say."""
        kind = self.type.partition(".")[0]
        known = (resolve(self.data, f"{kind}.{name}") for name in _NAMES)
        return next(
            (f"{kind}:{value}" for value in known if isinstance(value, str | int) and value != ""), ""
        )

    @property
    def account_name(self) -> str:
        """Its account as people know it: id and name."""
        given = (resolve(self.data, f"account.{name}") for name in ("display_name", "name"))
        name = next((value for value in given if isinstance(value, str) and value), "")
        return f"{self.account} ({name})" if name and name != self.account else self.account


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a digest carries; the counts are of all of it, the entries the first of it."""

    id: str  # of its delivery
    subscription: str
    opened_at: datetime
    until: datetime
    passed: int
    size: int
    types: list[tuple[str, str, int]]  # code, label, count
    accounts: list[tuple[str, int]]
    account_count: int
    lanes: list[tuple[str, int, int, int]]  # ordering key, count, first and last number
    lane_count: int
    entries: list[Entry]

    @property
    def subject(self) -> str:
        """What it is, in a line: 4,990 more: Dormant SIM."""
        label = self.types[0][1] if self.types else "nothing"
        others = len(self.types) - 1
        more = f" and {others} other {'kind' if others == 1 else 'kinds'}" if others > 0 else ""
        return f"{self.size:,} more: {label}{more}"

    @property
    def list_url(self) -> str:
        """Where a program finds all of it."""
        return f"{settings.BASE_URL}/api/v1/deliveries/?digest={self.id}"


def read(delivery_id: int, public_id: str, *, with_data: bool) -> Content:
    """Return what the digest with this delivery says; payloads are read only for a mail."""
    with connection.cursor() as cursor:
        cursor.execute(_HEAD, [delivery_id])
        digest_id, opened_at, until, passed, size, subscription = cursor.fetchone()
        cursor.execute(_TYPES, [digest_id])
        types = cursor.fetchall()
        cursor.execute(_ACCOUNTS, [digest_id])
        accounts = cursor.fetchall()
        cursor.execute(_LANES, [digest_id])
        lanes = cursor.fetchall()
        cursor.execute(
            f"{_ENTRIES}, {'e.data' if with_data else 'NULL'} {_OF} ORDER BY c.delivery_id LIMIT {MOST}",
            [digest_id],
        )
        entries = [Entry(*(*row[:8], _decoded(row[8]))) for row in cursor.fetchall()]
    return Content(
        id=public_id,
        subscription=subscription,
        opened_at=opened_at,
        until=until,
        passed=passed,
        size=size,
        types=types,
        accounts=[(account, number) for account, number, _ in accounts],
        account_count=accounts[0][2] if accounts else 0,
        lanes=[lane[:4] for lane in lanes],
        lane_count=lanes[0][4] if lanes else 0,
        entries=entries,
    )


_decoder = msgspec.json.Decoder(float_hook=str)  # 19.90 stays 19.90


def _decoded(data: str | None) -> Mapping[str, Any]:
    value = _decoder.decode(data) if data else {}
    return value if isinstance(value, dict) else {}
