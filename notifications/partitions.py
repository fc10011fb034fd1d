"""The month partitions of this app's two append-only tables, made ahead of time."""

from events import partitions

# Each with the column that says the month.
TABLES = {"notifications_attempt": "started_at", "notifications_renderedbody": "delivery_created_at"}


def ensure(*, months_ahead: int = 2) -> list[str]:
    """Create the partitions of this month and the next ones; return the names of the new ones."""
    return partitions.ensure(TABLES, months_ahead=months_ahead)
