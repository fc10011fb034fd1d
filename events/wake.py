"""Telling the fan-out that there is work: once a transaction, after its commit."""

from . import once_committed
from .models import Event
from .signals import event_published


def after_commit(count: int) -> None:
    """Send `event_published` for `count` more events, once the caller's transaction commits."""
    once_committed.add(_tell, count)


def _tell(count: int) -> None:
    event_published.send(sender=Event, count=count)
