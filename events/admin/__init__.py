"""The console's pages for what happened, and who may touch it."""

from . import apikeys, catalog, event, objects, parties, queues

__all__ = ["apikeys", "catalog", "event", "objects", "parties", "queues"]
