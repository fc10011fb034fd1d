"""When a schedule falls due: x days after a date, at a time of day, in a zone with its daylight saving."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MINUTE = timedelta(minutes=1)
# A zone that moved across the date line lost a whole day.
_LONGEST_GAP = 36 * 60  # minutes


def due_at(anchor: datetime | date, days: int, at: time, zone: ZoneInfo) -> datetime:
    """Return the instant in UTC: the anchor's date in the zone, so many days later, at that time of day.

    A time that clocks skip counts from the next minute that exists; one that they show twice is the first.
    """
    day = anchor.astimezone(zone).date() if isinstance(anchor, datetime) else anchor
    wall = datetime.combine(day + timedelta(days=days), at)
    for _ in range(_LONGEST_GAP):
        instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == wall:
            return instant
        wall = wall.replace(second=0, microsecond=0) + _MINUTE
    raise ValueError(f"{wall} does not exist in {zone.key}.")


def zone_of(name: object) -> ZoneInfo | None:
    """Return the zone of an IANA name; None if there is none of that name."""
    if not isinstance(name, str) or not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def late(due: datetime, now: datetime) -> str:
    """Return in words how late it is: 3 h 5 min; empty within a minute."""
    minutes = int((now - due).total_seconds() // 60)
    if minutes < 1:
        return ""
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    told = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{count} {unit}" for count, unit in told if count)
