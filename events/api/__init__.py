"""The HTTP API of events, the catalog, queues and parties."""
