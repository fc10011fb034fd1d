"""Telling the evaluator that objects changed: once a transaction, after its commit.

A lost wake-up costs only time: the inbox holds every change that triggers have not looked at.
"""

from django.apps import apps
from django.dispatch import Signal

from . import once_committed

# Sent by `Change` after the commit, with `count`, the number of changes that transaction wrote.
wake = Signal()


def after_commit(count: int) -> None:
    """Send `wake` for `count` more changes, once the caller's transaction commits."""
    once_committed.add(_tell, count)


def _tell(count: int) -> None:
    # By name: a host project follows its models before ours are loaded.
    wake.send(sender=apps.get_model("events", "Change"), count=count)
