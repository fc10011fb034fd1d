"""Times that can be kept: every reader, in every zone, can show them."""

from datetime import datetime, timedelta

OUTSIDE = "The time lies outside the years 1970 to 2999."


def is_storable(moment: datetime) -> bool:
    """Whether every reader, in every zone, can show the time."""
    offset = moment.utcoffset() or timedelta()
    return abs(offset) < timedelta(hours=16) and 1970 < moment.year < 3000
