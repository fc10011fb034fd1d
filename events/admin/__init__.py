"""The console's pages for what happened, and who may touch it."""

from . import apikeys, billing_objects, catalog, changes, event, kinds, objects, parties, queues

__all__ = [
    "apikeys",
    "billing_objects",
    "catalog",
    "changes",
    "event",
    "kinds",
    "objects",
    "parties",
    "queues",
]
