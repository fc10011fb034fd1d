"""The console's pages for what happened, and who may touch it."""

from . import apikeys, billing_objects, catalog, changes, event, firings, kinds, parties, queues, trigger

__all__ = [
    "apikeys",
    "billing_objects",
    "catalog",
    "changes",
    "event",
    "firings",
    "kinds",
    "parties",
    "queues",
    "trigger",
]
